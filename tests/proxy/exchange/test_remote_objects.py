"""Which of the objects that a request names bind it to an upstream, and what looking for them costs."""

import msgspec
import pytest

from accounts.keys import Key
from proxy.exchange import remote_objects
from proxy.exchange.admission import ANONYMOUS
from proxy.exchange.remote_objects import find_own, find_pin
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import ClientMistake
from upstreams.routing import live_state
from upstreams.routing.live_state import RoutingState
from upstreams.routing.remote_objects import Holder, RemoteObject

RESPONSES, MESSAGES = REGISTRY["openai_responses"], REGISTRY["anthropic"]
ME = Key(id="me", name="me")


@pytest.fixture
def objects(monkeypatch):
    """The objects of a process whose store must not be read."""

    async def refuse(object_id):
        raise AssertionError(f"the store was asked for {object_id}")

    state = RoutingState()
    state.remote_objects.stores = [refuse]
    monkeypatch.setattr(live_state, "_state", state)
    return state.remote_objects


async def nothing(_object_id):
    return []


def made(object_id, upstream="b", **fields):
    return RemoteObject(id=object_id, api_key_id="me", upstream_id=upstream, credential_id=f"{upstream}1", **fields)


def opened(**fields):
    return RESPONSES.open_request(msgspec.json.encode({"model": "m", "input": "hi", **fields}))


def with_files(*files):
    return opened(input=[{"role": "user", "content": [{"type": "input_file", "file_id": file} for file in files]}])


async def test_a_request_that_names_nothing_reads_no_store_and_is_not_bound(objects):
    message = {"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "hi"}]}
    assert await find_pin(RESPONSES, opened(previous_response_id=None), ME) is None
    assert await find_pin(MESSAGES, MESSAGES.open_request(msgspec.json.encode(message)), ME) is None


async def test_content_is_searched_for_files_only_once_any_are_known(objects):
    assert await find_pin(RESPONSES, with_files("file-1"), ME) is None
    objects.add(made("file-1", is_nested=True))
    pin = await find_pin(RESPONSES, with_files("file-1"), ME)
    assert (pin.reference.field, pin.holder) == ("input", Holder("b", "b1"))


async def test_ids_that_nobody_made_do_not_bind(objects):
    objects.stores = [nothing]
    assert await find_pin(RESPONSES, opened(previous_response_id="resp_1"), ME) is None


async def test_the_upstream_gets_its_own_id_for_one_that_the_gateway_gave(objects):
    objects.add(made("resp_given", remote_id="resp_own"))
    envelope = opened(previous_response_id="resp_given")
    pin = await find_pin(RESPONSES, envelope, ME)
    assert bytes(pin.envelope.fields["previous_response_id"]) == b'"resp_own"'
    assert {name: pin.envelope.fields[name] for name in ("model", "input")} == {name: envelope.fields[name] for name in ("model", "input")}


@pytest.mark.parametrize("key", [Key(id="other", name="other"), ANONYMOUS], ids=lambda key: key.name)
async def test_an_object_of_another_key_does_not_exist(objects, key):
    objects.stores = [nothing]
    objects.add(made("resp_1"))
    with pytest.raises(ClientMistake) as raised:
        await find_pin(RESPONSES, opened(previous_response_id="resp_1"), key)
    failure = raised.value.failure
    assert (failure.kind, failure.param, failure.code, failure.message) == (
        "not_found",
        "previous_response_id",
        "previous_response_not_found",
        "Previous response with id 'resp_1' not found.",
    )
    assert (await find_own("resp_1", key.id), await find_own("resp_1", "me")) == (None, made("resp_1"))


async def test_objects_in_one_place_bind_once_and_in_two_places_are_refused(objects):
    objects.add(made("resp_1"))
    objects.add(made("conv_1"))
    pin = await find_pin(RESPONSES, opened(previous_response_id="resp_1", conversation="conv_1"), ME)
    assert (pin.reference.field, pin.holder) == ("previous_response_id", Holder("b", "b1"))
    objects.add(made("conv_1", upstream="a"))
    with pytest.raises(ClientMistake) as raised:
        await find_pin(RESPONSES, opened(previous_response_id="resp_1", conversation="conv_1"), ME)
    assert (raised.value.failure.kind, raised.value.failure.param) == ("invalid_request", "conversation")


async def test_a_request_may_name_a_hundred_objects(objects, monkeypatch):
    monkeypatch.setattr(remote_objects, "MAX_REFERENCES", 2)
    objects.stores, objects.knows_nested = [nothing], True
    assert await find_pin(RESPONSES, with_files("file-1", "file-2"), ME) is None
    with pytest.raises(ClientMistake) as raised:
        await find_pin(RESPONSES, with_files("file-1", "file-2", "file-3"), ME)
    assert raised.value.failure.param == "input"


async def test_a_gateway_that_shall_not_remember_looks_nothing_up(objects, settings):
    settings.PXBIN = msgspec.structs.replace(settings.PXBIN, remote_object_days=0)
    objects.add(made("resp_1"))
    assert await find_pin(RESPONSES, opened(previous_response_id="resp_1"), ME) is None
    assert await find_own("resp_1", "me") is None

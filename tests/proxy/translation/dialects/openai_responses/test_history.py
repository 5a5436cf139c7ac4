"""A request that refers to an earlier response."""

from __future__ import annotations

import json

import msgspec
import pytest

from proxy.translation.canonical import Finish, Message, Response, Text, ToolCall, ToolResult
from proxy.translation.dialects.openai_responses import history
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.errors import ClientMistake
from tests.proxy.translation.dialects.openai_responses.samples import KEY, body, context, target

FIRST = DIALECT.open_request(body(input="weather?"))
ANSWER = DIALECT.encode_response(
    Response(id="x", model="up", parts=(Text("Looking."), ToolCall("c1", "f", "{}")), finish=Finish(reason="tool_calls")),
    context(DIALECT.decode_request(FIRST, KEY)),
)
EARLIER = [*history.input_items(FIRST), *history.output_items(ANSWER)]
NEXT = DIALECT.open_request(
    body(input=[{"type": "function_call_output", "call_id": "c1", "output": "sunny"}], previous_response_id="resp_1")
)


def test_the_earlier_turns_come_before_the_new_items() -> None:
    request = DIALECT.decode_request(history.prepend_items(NEXT, EARLIER), KEY)
    assert request.demands == ()
    assert request.messages == (
        Message("user", (Text("weather?"),)),
        Message("assistant", (Text("Looking."), ToolCall("c1", "f", "{}"))),
        Message("user", (ToolResult("c1", (Text("sunny"),)),)),
    )


def test_the_response_has_the_previous_response_id() -> None:
    request = DIALECT.decode_request(history.prepend_items(NEXT, EARLIER), KEY)
    answer = DIALECT.encode_response(Response(id="x", model="up", parts=(), finish=Finish()), context(request))
    assert json.loads(answer)["previous_response_id"] == "resp_1"


def test_the_gateway_fields_are_not_sent_upstream() -> None:
    envelope = history.prepend_items(NEXT, EARLIER)
    patched = json.loads(DIALECT.patch_request(envelope, target(), KEY))
    encoded = json.loads(DIALECT.encode_request(DIALECT.decode_request(envelope, KEY), target()))
    assert set(patched) == {"model", "input"}
    assert [item["type"] for item in patched["input"]] == ["message", "message", "function_call", "function_call_output"]
    assert set(encoded) == {"model", "input", "include", "store"}


def test_the_id_is_checked() -> None:
    assert history.previous_response_id(NEXT) == "resp_1"
    assert history.previous_response_id(FIRST) is None
    with pytest.raises(ClientMistake, match="previous_response_id: must be a string"):
        DIALECT.open_request(body(previous_response_id=5))


@pytest.mark.parametrize("answer", [b"", b"[]", b'{"output":5}', b"{}"])
def test_an_invalid_response_has_no_items(answer: bytes) -> None:
    assert history.output_items(answer) == []


def test_an_absent_input_has_no_items() -> None:
    assert history.input_items(DIALECT.open_request(b'{"model":"m","input":null,"previous_response_id":"x"}')) == []
    assert history.input_items(DIALECT.open_request(b'{"model":"m","input":[{"role":"user", "content":"a"}]}')) == [
        msgspec.Raw(b'{"role":"user", "content":"a"}')
    ]


def test_references_are_recognized_by_type_or_by_a_lone_id() -> None:
    items = [{"role": "user", "content": "item_reference"}, {"type": "item_reference", "id": "msg_1"}, {"id": "rs_1"}]
    envelope = DIALECT.open_request(json.dumps({"model": "m", "input": [*items, {"role": "user", "id": "msg_2", "content": "x"}]}).encode())
    assert history.item_references(envelope) == [(1, "msg_1"), (2, "rs_1")]
    for input_field in ("item_reference", [{"role": "user", "content": "x"}]):
        assert history.item_references(DIALECT.open_request(json.dumps({"model": "m", "input": input_field}).encode())) == []


def test_items_take_the_place_of_references() -> None:
    envelope = DIALECT.open_request(b'{"model":"m","input":[{"id":"msg_1"},{"role":"user","content":"x"}]}')
    item = history.find_item(
        '[{"id":"in_1"}]', '{"output":[{"type":"item_reference","id":"msg_1"},{"id":"msg_1","role":"assistant"}]}', "msg_1"
    )
    assert item is not None
    mended = history.replace_references(envelope, {0: item})
    assert json.loads(bytes(mended.fields["input"])) == [{"id": "msg_1", "role": "assistant"}, {"role": "user", "content": "x"}]
    assert history.find_item('[{"id":"in_1"}]', "{}", "in_2") is None
    assert history.find_item('[{"id":"in_1"}]', "{}", "in_1") == msgspec.Raw(b'{"id":"in_1"}')

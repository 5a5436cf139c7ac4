"""The key is checked from the headers: whose body is received, and with which failure others are refused."""

import pytest
from asgiref.sync import sync_to_async

from accounts import cache_revisions, keys
from proxy.exchange import admission
from proxy.translation.errors import GatewayError
from pxbin_site.server.http1.gate import WITH_KEY, WITHOUT_KEY, Verdict
from pxbin_site.server.key_gate import KeyGate
from tests.support import memory
from upstreams.catalog import snapshot
from upstreams.models import Model, Route, Upstream

pytestmark = pytest.mark.django_db(transaction=True)

GATE = KeyGate()
CLIENT_PATHS = ("/v1/messages", "/v1/embeddings", "/model/m/invoke", "/team-a/v1/messages", "/team-a/any/path")


@pytest.fixture(autouse=True)
def _fresh_memory():
    memory.forget()
    yield
    memory.forget()


def open_a_model():
    upstream = Upstream.objects.create(name="up", base_url="http://127.0.0.1:1", dialect="openai_chat")
    Route.objects.create(model=Model.objects.create(name="open", allow_anonymous=True), upstream=upstream)
    snapshot.refresh()


def headers(key):
    return [(b"x-api-key", key.encode())] if key else []


def failure(verdict: Verdict | None) -> tuple[str, str]:
    assert verdict is not None
    assert not verdict.has_key
    assert isinstance(verdict.refusal, GatewayError)
    return verdict.refusal.failure.kind, verdict.refusal.failure.message


@pytest.mark.parametrize("path", CLIENT_PATHS)
async def test_a_client_path_takes_bodies_with_a_key_only(path):
    key, _ = await sync_to_async(keys.issue)("llm")
    await keys.authenticate(key)
    assert GATE.decide(path, headers(key)) == WITH_KEY
    assert failure(GATE.decide(path, [])) == ("authentication", keys.MISSING)
    assert failure(GATE.decide(path, [(b"authorization", b"nonsense")])) == ("authentication", keys.MISPLACED)
    assert GATE.decide(path, headers("pxb_unknown")) is None


async def test_an_unknown_key_is_looked_up():
    key, row = await sync_to_async(keys.issue)("llm")
    assert await GATE.look_up(headers(key)) == WITH_KEY
    assert failure(await GATE.look_up(headers("pxb_unknown"))) == ("authentication", keys.INVALID)
    row.is_active = False
    await sync_to_async(row.save)()
    await sync_to_async(cache_revisions.poll)()
    assert failure(await GATE.look_up(headers(key))) == ("permission", keys.INACTIVE)


@pytest.mark.parametrize("path", ["/", "/admin/login/", "/api/v1/keys", "/Admin/x", "/health", "/static/a", "*"])
async def test_other_paths_check_their_sender_in_their_own_way(path):
    assert GATE.decide(path, []) == WITHOUT_KEY


async def test_with_an_open_model_any_body_may_be_for_it():
    assert not admission.has_open_models()
    await sync_to_async(open_a_model)()
    assert admission.has_open_models()
    assert GATE.decide("/v1/messages", []) == WITHOUT_KEY
    assert GATE.decide("/v1/messages", headers("sk-of-another-provider")) == WITHOUT_KEY
    assert GATE.decide("/v1/messages", [(b"authorization", b"nonsense")]) == WITHOUT_KEY
    key, _ = await sync_to_async(keys.issue)("llm")
    await keys.authenticate(key)
    assert GATE.decide("/v1/messages", headers(key)) == WITH_KEY


async def test_a_key_that_is_not_cached_is_looked_up_although_a_model_is_open():
    """Its body may be larger than all bodies without a key together."""
    await sync_to_async(open_a_model)()
    key, _ = await sync_to_async(keys.issue)("llm")
    assert GATE.decide("/v1/messages", headers(key)) is None
    assert await GATE.look_up(headers(key)) == WITH_KEY
    assert await GATE.look_up(headers("pxb_unknown")) == WITHOUT_KEY

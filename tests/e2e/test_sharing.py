"""Two gateways on one PostgreSQL and one Redis: what one learns of an upstream, the other heeds.

The upstream fails for the first gateway only, so what the second one avoids it has not seen itself.
"""

import uuid
from contextlib import ExitStack

import pytest

from tests.support import postgres, redis
from tests.support.fake_upstream import RESET, FakeUpstream, Reply, json_reply
from tests.support.gateway import Gateway
from tests.support.waiting import eventually

WELL = json_reply(
    {
        "id": "c",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "well"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7},
    }
)


@pytest.fixture(scope="module")
def pair(postgres_server):
    with ExitStack() as running:
        shared = {
            "PXBIN_DATABASE_URL": running.enter_context(postgres.database(postgres_server)),
            "PXBIN_REDIS_URL": running.enter_context(redis.started()),
            "PXBIN_ENCRYPTION_KEY": "a passphrase of both",
            "PXBIN_SECRET_KEY": "a secret of both",
            "PXBIN_MAX_DB_CONNS": "6",
            "PXBIN_MIN_DB_CONNS": "1",
            "PXBIN_CELERY": "false",
        }
        first = running.enter_context(Gateway.started(**shared))
        second = running.enter_context(Gateway.started(**shared))
        key = first.api("POST", "/keys", json={"name": "shared"})["key"]
        first.client_key = second.client_key = key
        assert [ask(server, "echo") for server in (first, second)] == [200, 200]
        yield first, second


def ask(gateway, model, *, session=None):
    body = {"model": model, "max_tokens": 10, "messages": [{"role": "user", "content": f"{gateway.port} {uuid.uuid4().hex}"}]}
    headers = gateway.client_headers | ({"x-claude-code-session-id": session} if session else {})
    return gateway.http.post(f"{gateway.url}/v1/messages", headers=headers, json=body).status_code


def with_keys(gateway, upstream, number, **fields):
    """A model whose upstream has so many keys, `k0` first; its name and the ids of the keys."""
    name = f"m-{uuid.uuid4().hex[:8]}"
    upstream_id = gateway.add_upstream(upstream, name, name=name, api_key="k0", **fields)
    for key_number in range(1, number):
        gateway.api("POST", "/credentials", json={"upstream_id": upstream_id, "api_key": f"k{key_number}"})
    return name, [row["id"] for row in gateway.api("GET", "/credentials", params={"upstream_id": upstream_id})]


def with_second(gateway, upstream, second_upstream, **fields):
    name, keys = with_keys(gateway, upstream, 1, **fields)
    (model,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == name]
    second_id = gateway.add_upstream(second_upstream, name=f"{name}-second")
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": second_id, "priority": 5})
    return name, keys


def keys_of(upstream):
    return [request.header("authorization").removeprefix("Bearer ") for request in upstream.requests]


def failing(gateway, failure):
    """An upstream that fails for one gateway and answers the other."""
    return lambda request: failure if request.json()["messages"][0]["content"].startswith(f"{gateway.port} ") else WELL


def calls_of(gateway, model, upstream):
    """How many calls an upstream gets because of one request to a gateway, which is answered."""
    before = len(upstream.requests)
    assert ask(gateway, model) == 200
    return len(upstream.requests) - before


LIMITED = json_reply({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "600"})


def test_a_cooldown_and_its_end_are_known_to_both(pair, upstream, second_upstream):
    first, second = pair
    name, (key,) = with_second(first, upstream, second_upstream)
    upstream.otherwise(failing(first, LIMITED))
    second_upstream.otherwise(WELL)
    assert calls_of(first, name, upstream) == 1
    assert eventually(lambda: calls_of(second, name, upstream) == 0)
    first.api("PATCH", f"/credentials/{key}", json={"is_active": True})
    assert eventually(lambda: calls_of(second, name, upstream) == 1)


def test_an_open_circuit_breaker_is_open_for_both(pair, upstream, second_upstream, in_touch):
    first, second = pair
    name, _ = with_second(first, upstream, second_upstream, cooldown_seconds=0)
    upstream.otherwise(failing(first, Reply(instead=RESET)))
    second_upstream.otherwise(WELL)
    assert [ask(first, name) for _ in range(4)] == [200] * 4
    in_touch()
    assert calls_of(second, name, upstream) == 0


def test_a_refused_key_is_disabled_for_both(pair, upstream):
    first, second = pair
    name, _ = with_keys(first, upstream, 2)
    refused = failing(first, json_reply({"error": {"message": "no such key"}}, status=401))
    upstream.otherwise(lambda request: refused(request) if request.header("authorization") == "Bearer k0" else WELL)
    assert ask(first, name) == 200

    def keys_of_second():
        upstream.requests.clear()
        assert [ask(second, name) for _ in range(4)] == [200] * 4
        return keys_of(upstream)

    assert eventually(lambda: keys_of_second() == ["k1"] * 4)


@pytest.fixture
def in_touch(pair, fake_loop):
    """Call it to wait until the second gateway knows all that the first one knows now."""
    limited, well = FakeUpstream(fake_loop), FakeUpstream(fake_loop)

    def wait():
        first, second = pair
        limited.otherwise(failing(first, LIMITED))
        well.otherwise(WELL)
        name, _ = with_second(first, limited, well)
        assert calls_of(first, name, limited) == 1  # changes are passed on in their order
        assert eventually(lambda: calls_of(second, name, limited) == 0)

    yield wait
    limited.stop()
    well.stop()


def test_a_session_keeps_its_key_in_both_and_after_a_restart(pair, upstream, in_touch):
    first, second = pair
    name, _ = with_keys(first, upstream, 5)
    upstream.otherwise(WELL)
    ask(first, name)
    ask(first, name, session="s-1")
    (session_key,) = set(keys_of(upstream)[1:])
    in_touch()
    upstream.requests.clear()
    for turn in range(12):
        ask((first, second)[turn % 2], name, session="s-1")
        ask((first, second)[turn % 2], name)  # other sessions go on in turn
    assert keys_of(upstream)[::2] == [session_key] * 12
    second.stop()
    second.restart()
    upstream.requests.clear()
    ask(second, name, session="s-1")
    assert keys_of(upstream) == [session_key]

"""Values in Redis and messages on its channel that the release has written are applied, and those of today have the same names."""

import json
import time

import pytest
import redis as redis_client

from tests.release import restoring
from tests.support import redis
from tests.support.fake_upstream import json_reply

RELEASED = restoring.load("redis.json")
UPSTREAMS = {row["name"]: row["id"] for row in restoring.load("api.json")["/upstreams"]}
MODELS = {row["name"]: row["id"] for row in restoring.load("api.json")["/models"]}
HOUR = 3_600_000
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


@pytest.fixture
def store():
    """A Redis with the keys of the release."""
    with redis.started() as url, redis_client.Redis.from_url(url, decode_responses=True) as client:
        for key, stored in RELEASED["keys"].items():
            assert stored["type"] == "string"
            client.set(key, stored["value"], px=HOUR if stored["expires"] else None)
        client.url = url
        yield client


@pytest.fixture
def gateway(sqlite, store):
    with sqlite.served(PXBIN_REDIS_URL=store.url) as running:
        yield running


def ask(gateway, model, **headers):
    body = {"model": model, "max_tokens": 30, "messages": [{"role": "user", "content": "Hi"}]}
    answer = gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers | headers, json=body, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.headers["x-pxbin-upstream"]


def breaker(gateway, name):
    return gateway.api("GET", f"/upstreams/{UPSTREAMS[name]}")["circuit_breaker"]


def until(condition, *, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.02)


def test_values_in_redis_are_applied(gateway, upstream):
    assert breaker(gateway, "openai_chat") == "open"
    for name in ("openai_chat", "openai_responses"):  # the one is broken, the other rests
        model = MODELS[f"seal-{name}"]
        gateway.api("POST", "/routes", json={"model_id": model, "upstream_id": UPSTREAMS["echo"], "remote_name": "echo", "priority": 9})
        assert ask(gateway, f"seal-{name}") == "echo"
    upstream.otherwise(WELL)
    gateway.api("PATCH", f"/upstreams/{UPSTREAMS['three keys']}", json={"base_url": upstream.url})
    ask(gateway, "three", **{"x-claude-code-session-id": "session-1"})
    ask(gateway, "three")
    ask(gateway, "three")
    keys = [request.header("authorization").removeprefix("Bearer ") for request in upstream.requests]
    assert keys[0] == "sk-three-3"  # the session's
    assert "sk-three-1" not in keys  # rests


def test_messages_on_the_channel_are_applied(gateway, store):
    kinds = [json.loads(message)["change"]["kind"] for message in RELEASED["messages"]]
    assert kinds == ["cooling", "cooling", "broken", "session", "used", "broken", "mended", "cooling", "cleared"]
    until(lambda: store.pubsub_numsub(RELEASED["channel"])[0][1] == 1)
    assert breaker(gateway, "anthropic") == "closed"
    broken, mended, cooling, cleared = RELEASED["messages"][5:]
    for message, state in ((broken, "open"), (mended, "closed"), (broken, "open"), (cleared, "closed")):
        assert store.publish(RELEASED["channel"], message) == 1
        until(lambda state=state: breaker(gateway, "anthropic") == state)
    model = MODELS["seal-anthropic"]
    gateway.api("POST", "/routes", json={"model_id": model, "upstream_id": UPSTREAMS["echo"], "remote_name": "echo", "priority": 9})
    store.publish(RELEASED["channel"], cooling)
    until(lambda: ask(gateway, "seal-anthropic") == "echo")


def test_values_and_messages_of_today_have_the_same_names(gateway, store, upstream):
    store.flushall()
    upstream.reply(json_reply({"error": {"message": "slow down"}}, status=429, headers={"retry-after": "60"}))
    upstream.otherwise(WELL)
    gateway.api("PATCH", f"/upstreams/{UPSTREAMS['three keys']}", json={"base_url": upstream.url})
    ask(gateway, "three", **{"x-claude-code-session-id": "session-1"})
    until(lambda: {key.split(":")[2] for key in store.scan_iter()} >= {"cooling", "session", "used"})
    first = next(iter(RELEASED["keys"].values()))["value"]
    released_kinds = {key.split(":")[2] for key in RELEASED["keys"]}
    for key in store.scan_iter():
        kind = key.split(":")[2]
        if kind not in released_kinds:
            continue
        message = json.loads(store.get(key))
        assert key == f"{RELEASED['channel']}:{kind}:{message['change']['subject']}"
        assert message["change"]["kind"] == kind
        assert (set(message), set(message["change"])) >= (set(json.loads(first)), set(json.loads(first)["change"]))
        assert store.pttl(key) > 0

"""Cooldowns and breakers that a scheduled health check ends, and sessions that stay where their cache is."""

import uuid
from collections import Counter

import pytest

from tests.e2e.test_chaos import answering, error
from tests.e2e.test_routing import ask, credentials_of, with_keys
from tests.support.fake_upstream import RESET, Reply, json_reply
from tests.support.gateway import Gateway
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def gateway():
    """Without Redis: Celery's beat runs in another process than the one that serves."""
    with Gateway.started(PXBIN_HEALTH_CHECK_SECONDS="1", PXBIN_CB_FAILURE_THRESHOLD="3", PXBIN_CB_TIMEOUT_SECONDS="600") as running:
        yield running


def listing(answer):
    """An upstream that lists a model and calls `answer` for all other requests."""
    return lambda request: json_reply({"data": [{"id": "m"}]}) if request.path == "/v1/models" else answer(request)


def of_clients(requests):
    """Those that no health check has sent."""
    return [
        request
        for request in requests
        if request.path != "/v1/models" and request.json()["messages"] != [{"role": "user", "content": "hi"}]
    ]


def test_a_scheduled_check_ends_a_cooldown_in_the_process_that_serves(gateway, upstream):
    name = with_keys(gateway, upstream, "k1", "k2", cooldown_seconds=600)
    sick = [True]
    limited = error(429)
    upstream.otherwise(
        listing(lambda request: limited if sick[0] and request.header("authorization") == "Bearer k1" else answering(request))
    )
    assert ask(gateway, name).answer.status_code == 200
    assert credentials_of(gateway, name)[0]["cooling_until"]
    sick[0] = False
    assert eventually(lambda: credentials_of(gateway, name)[0]["cooling_until"] is None)
    upstream.requests.clear()
    for _ in range(4):
        ask(gateway, name)
    client_requests = of_clients(upstream.requests)
    assert Counter(request.header("authorization") for request in client_requests) == {"Bearer k1": 2, "Bearer k2": 2}


WRONG_KEY = json_reply({"error": {"message": "Incorrect API key provided", "code": "invalid_api_key"}}, status=401)


def test_a_scheduled_check_brings_a_disabled_key_back(gateway, upstream):
    name = with_keys(gateway, upstream, "k1", "k2")
    sick = [True]
    upstream.otherwise(
        listing(lambda request: WRONG_KEY if sick[0] and request.header("authorization") == "Bearer k1" else answering(request))
    )
    ask(gateway, name)
    assert eventually(lambda: credentials_of(gateway, name)[0]["disabled_reason"])
    sick[0] = False
    assert eventually(lambda: credentials_of(gateway, name)[0]["disabled_reason"] is None)

    def keys_of_two_requests():
        upstream.requests.clear()
        for _ in range(2):
            ask(gateway, name)
        return [request.header("authorization") for request in of_clients(upstream.requests)]

    assert eventually(lambda: sorted(keys_of_two_requests()) == ["Bearer k1", "Bearer k2"])


def test_a_scheduled_check_closes_a_breaker_in_the_process_that_serves(gateway, upstream, second_upstream):
    name = with_keys(gateway, upstream, "k1")
    (model,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == name]
    second_id = gateway.add_upstream(second_upstream, name=f"{name}-second")
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": second_id, "priority": 5})
    second_upstream.otherwise(listing(answering))
    upstream.otherwise(Reply(instead=RESET))
    for _ in range(4):
        assert ask(gateway, name).answer.status_code == 200
    newest = gateway.logs(4, model=name)[0]
    assert [skip["skipped"] for skip in newest["routing"][1:]] == ["circuit breaker open"]
    upstream.otherwise(listing(answering))
    assert eventually(lambda: ask(gateway, name).answer.headers["x-pxbin-upstream"] == name)


def test_the_same_prefix_goes_to_the_same_upstream_and_key_in_99_of_100_turns(gateway, upstream, second_upstream):
    """Sixty sessions in turn, named by a header, by their user, by a cache key, or only by their first message."""
    name = with_keys(gateway, upstream, "k1", "k2", "k3")
    (model,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == name]
    second_id = gateway.add_upstream(second_upstream, name=f"{name}-second", api_key="s1")
    gateway.api("POST", "/credentials", json={"upstream_id": second_id, "api_key": "s2"})
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": second_id})
    gateway.api("PATCH", f"/models/{model['id']}", json={"strategy": "round_robin"})
    for fake in (upstream, second_upstream):
        fake.otherwise(listing(answering))
    marks = [uuid.uuid4().hex for _ in range(60)]

    def turn(conversation, number):
        mark = marks[conversation]
        history = [{"role": "assistant", "content": "x"}, {"role": "user", "content": f"go on {number}"}] * number
        body = {"model": name, "max_tokens": 9, "messages": [{"role": "user", "content": f"I am {mark}."}, *history]}
        headers, path = dict(gateway.client_headers), "/v1/messages"
        if conversation % 4 == 0:
            headers["x-claude-code-session-id"] = mark
            body["messages"] = body["messages"][number:]  # its beginning was compacted away
        elif conversation % 4 == 1:
            body["metadata"] = {"user_id": mark}
        elif conversation % 4 == 2:
            path, body["prompt_cache_key"] = "/v1/chat/completions", mark
        assert gateway.http.post(gateway.url + path, headers=headers, json=body).status_code == 200

    homes = {conversation: [] for conversation in range(len(marks))}
    for number in range(8):
        for conversation in homes:
            before = (len(upstream.requests), len(second_upstream.requests))
            turn(conversation, number)
            new_requests = [*upstream.requests[before[0] :], *second_upstream.requests[before[1] :]]
            homes[conversation] += [received.header("authorization") for received in of_clients(new_requests)]
    stayed = sum(count for turns in homes.values() for _, count in Counter(turns).most_common(1))
    assert stayed / (8 * len(marks)) >= 0.99
    assert len({turns[0] for turns in homes.values()}) == 5  # new sessions are spread over all keys

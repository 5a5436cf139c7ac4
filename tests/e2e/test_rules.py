"""Rules of docs/routing.md that could be understood in two ways, each with a real gateway."""

import json
import uuid
from collections import Counter

import pytest

from tests.e2e.test_chaos import OPENED, WELL, answering, chunk, error, named, two
from tests.e2e.test_routing import ask, change_model, credentials_of, keys_of, seconds_left, upstream_of, with_keys
from tests.support.fake_upstream import CLOSE, HANG, Reply, json_reply, sse
from tests.support.gateway import Gateway
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def gateway():
    with Gateway.started(PXBIN_CB_FAILURE_THRESHOLD="1000", PXBIN_KEY_COOLDOWN_SECONDS="7.5") as running:
        yield running


def row_of(gateway, name):
    (row,) = gateway.logs(1, model=name)
    return gateway.api("GET", f"/logs/{row['id']}")


# Cooldowns


def test_even_when_the_whole_upstream_cools_its_other_keys_are_tried_in_the_same_request(gateway, upstream):
    name = with_keys(gateway, upstream, "k1", "k2", "k3", cooldown_seconds=60)
    limited = error(429, "organization rate limit reached", retry_after="30")
    upstream.otherwise(lambda request: answering(request) if request.header("authorization") == "Bearer k3" else limited)
    assert (ask(gateway, name).answer.status_code, keys_of(upstream)) == (200, ["k1", "k2", "k3"])


def test_a_limited_key_still_serves_another_route(gateway, upstream, second_upstream):
    """A 429 cools the credential on its route only: it still serves another model."""
    name = two(gateway, upstream, second_upstream, cooldown_seconds=60)
    second_name = f"{name}-other"
    gateway.api("POST", "/models", json={"name": second_name, "upstream_id": upstream_of(gateway, name)})
    upstream.reply(error(429))
    upstream.otherwise(answering)
    second_upstream.otherwise(answering)
    assert [ask(gateway, model_name).answer.status_code for model_name in (name, name, second_name)] == [200] * 3
    assert (len(upstream.requests), len(second_upstream.requests)) == (2, 2)


def test_a_models_cooldown_is_in_the_place_of_its_upstreams_and_may_be_a_fraction(gateway, upstream):
    name = with_keys(gateway, upstream, "k1", "k2", cooldown_seconds=60)
    change_model(gateway, name, cooldown_seconds=2.5)
    upstream.reply(error(429))
    upstream.otherwise(answering)
    ask(gateway, name)
    assert credentials_of(gateway, name)[0]["cooling_until"]
    assert eventually(lambda: credentials_of(gateway, name)[0]["cooling_until"] is None)


def test_cooling_until_is_the_latest_end_of_the_keys_cooldowns(gateway, upstream):
    name = with_keys(gateway, upstream, "k1", cooldown_seconds=60)
    gateway.api("POST", "/models", json={"name": f"{name}-2", "upstream_id": upstream_of(gateway, name)})
    upstream.reply(error(429, retry_after="500"), error(429, retry_after="5"))
    for model in (name, f"{name}-2"):
        ask(gateway, model)
    (row,) = credentials_of(gateway, name)
    assert 450 < seconds_left(row) <= 500


def test_a_cooldown_of_the_whole_upstream_is_one_of_each_of_its_keys(gateway, upstream):
    name = with_keys(gateway, upstream, "k1", "k2", cooldown_seconds=60)
    upstream.reply(error(429, retry_after="5"), error(429, "organization rate limit", retry_after="500"), error(429, retry_after="50"))
    upstream.otherwise(answering)
    ask(gateway, name)
    ask(gateway, name)
    assert [450 < seconds_left(row) <= 500 for row in credentials_of(gateway, name)] == [True, True]


def test_new_upstreams_have_the_cooldown_of_the_setting(gateway, upstream):
    named(upstream, gateway, cooldown_seconds=3)
    upstream_row = gateway.api("POST", "/upstreams", json={"name": f"u-{uuid.uuid4().hex}", "base_url": upstream.url})
    assert upstream_row["cooldown_seconds"] == 7.5
    assert {row["cooldown_seconds"] for row in gateway.api("GET", "/upstreams") if row["name"].startswith("echo")} == {7.5}  # first run


# What is tried again, and where


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_clients_mistake_cools_nothing_and_goes_nowhere_else(gateway, upstream, second_upstream, status):
    name = two(gateway, upstream, second_upstream, cooldown_seconds=60, max_retries=3, retry_base_delay_ms=1)
    upstream.otherwise(error(status))
    for _ in range(2):
        assert ask(gateway, name).answer.status_code == {422: 400}.get(status, status)
    assert (len(upstream.requests), len(second_upstream.requests)) == (2, 0)
    assert [row["cooling_until"] for row in credentials_of(gateway, name)] == [None]


@pytest.mark.parametrize("again", [error(429), error(503)], ids=["429", "503"])
def test_retries_are_for_429_and_503(gateway, upstream, again):
    name = named(upstream, gateway, max_retries=2, retry_base_delay_ms=20)
    upstream.reply(again, again)
    upstream.otherwise(answering)
    assert (ask(gateway, name).answer.status_code, len(upstream.requests)) == (200, 3)


def test_an_upstream_that_breaks_connections_gets_a_request_twice(gateway, upstream):
    """It may have worked on both of them, and bill them."""
    name = named(upstream, gateway, max_retries=2, retry_base_delay_ms=20)
    upstream.otherwise(Reply(instead=CLOSE))
    assert (ask(gateway, name).answer.status_code, len(upstream.requests)) == (502, 2)


def test_a_stream_that_fails_after_content_is_not_retried(gateway, upstream, second_upstream):
    """The upstream has worked and bills it."""
    name = two(gateway, upstream, second_upstream, max_retries=3, retry_base_delay_ms=1)
    upstream.otherwise(sse(OPENED, chunk({"content": "one"}), 0.05, CLOSE))
    call = ask(gateway, name, stream=True)
    assert (call.text, len(upstream.requests), len(second_upstream.requests)) == ("one", 1, 0)
    row = row_of(gateway, name)
    assert (row["outcome"], row["usage_estimated"], [attempt["outcome"] for attempt in row["tries"]]) == ("failed", True, ["failed"])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("hedged", [False, True], ids=["one by one", "raced"])
def test_attempts_that_run_at_the_deadline_have_failed(gateway, upstream, second_upstream, stream, hedged):
    name = two(gateway, upstream, second_upstream)
    change_model(gateway, name, timeout_seconds=1.5, hedge_after_ms=100 if hedged else None)
    for fake in (upstream, second_upstream):
        fake.otherwise(Reply(instead=HANG))
    assert ask(gateway, name, stream=stream).answer.status_code == 504
    tries = row_of(gateway, name)["tries"]
    assert [(attempt["outcome"], attempt["error_type"]) for attempt in tries] == [("failed", "timeout")] * (2 if hedged else 1)


# What the log says


def test_a_single_attempt_is_written_down_with_its_key(gateway, upstream):
    name = with_keys(gateway, upstream, "k1")
    upstream.otherwise(answering)
    ask(gateway, name)
    row = row_of(gateway, name)
    (key,) = credentials_of(gateway, name)
    (attempt,) = row["tries"]
    assert (attempt["credential_id"], attempt["upstream_name"], attempt["status_code"], attempt["outcome"]) == (
        key["id"],
        name,
        200,
        "finished",
    )
    assert (attempt["input_tokens"], attempt["output_tokens"], attempt["cost_usd"]) == (
        row["input_tokens"],
        row["output_tokens"],
        row["cost_usd"],
    )
    assert row["routing"] is None


def test_every_skipped_candidate_is_listed_with_its_reason(gateway, upstream, second_upstream):
    name = two(gateway, upstream, second_upstream, capabilities={"tools": False}, cooldown_seconds=60)
    model = next(row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == name)
    off = gateway.add_upstream(upstream, name=f"{name}-off")
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": off, "is_active": False})
    small = gateway.add_upstream(upstream, name=f"{name}-small")
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": small, "context_window": 10})
    cold = gateway.add_upstream(upstream, name=f"{name}-cold", priority=1)
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": cold, "priority": 1})
    gateway.api("PATCH", f"/models/{model['id']}", json={"fallbacks": ["nobody"]})
    upstream.otherwise(error(429, retry_after="60"))
    second_upstream.otherwise(answering)
    tools = [{"name": "look", "input_schema": {"type": "object"}}]
    body = {"model": name, "max_tokens": 9, "tools": tools, "messages": [{"role": "user", "content": "word " * 40}]}
    for _ in range(2):
        assert gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body).status_code == 200
    newest, _ = gateway.logs(2, model=name)
    chosen, *skips = gateway.api("GET", f"/logs/{newest['id']}")["routing"]
    assert (chosen["upstream"], chosen["chosen"]) == (f"{name}-well", "session kept")
    reasons = {skip.get("upstream", skip["model"]): skip["skipped"] for skip in skips}
    assert reasons[name] == "takes no tools"
    assert reasons[f"{name}-off"] == "the route is switched off"
    assert reasons[f"{name}-small"].endswith("tokens do not fit 10")
    assert reasons[f"{name}-cold"].startswith("cooling for ")
    assert reasons["nobody"] == "no such model, or it is switched off"


# Which one comes first


def upstreams_of(gateway, name, number):
    """How often each upstream was the first choice of so many sessions."""
    for _ in range(number):
        assert ask(gateway, name).answer.status_code == 200
    return Counter(row["upstream_name"].removeprefix(name) or "first" for row in gateway.logs(number, model=name))


def equal_pair(gateway, upstream, second_upstream, *, weights=(1, 1), **fields):
    name = named(upstream, gateway)
    (model,) = [row for row in gateway.api("GET", "/models", params={"per_page": "1000"}) if row["name"] == name]
    (route,) = gateway.api("GET", "/routes", params={"model_id": model["id"]})
    gateway.api("PATCH", f"/routes/{route['id']}", json={"weight": weights[0]})
    second_id = gateway.add_upstream(second_upstream, name=f"{name}-b")
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": second_id, "weight": weights[1]})
    change_model(gateway, name, **fields)
    upstream.otherwise(answering)
    second_upstream.otherwise(answering)
    return name


def test_priority_takes_the_heavier_one_every_time(gateway, upstream, second_upstream):
    assert upstreams_of(gateway, equal_pair(gateway, upstream, second_upstream, weights=(1, 2)), 10) == {"-b": 10}


def test_round_robin_takes_each_in_turn(gateway, upstream, second_upstream):
    name = equal_pair(gateway, upstream, second_upstream, strategy="round_robin")
    assert upstreams_of(gateway, name, 20) == {"first": 10, "-b": 10}


def test_weighted_draws_by_weight(gateway, upstream, second_upstream):
    name = equal_pair(gateway, upstream, second_upstream, weights=(3, 1), strategy="weighted")
    assert 95 <= upstreams_of(gateway, name, 160)["first"] <= 143  # 120 is meant; four standard deviations are 22


def test_latency_takes_the_faster_one_once_it_knows_both(gateway, upstream, second_upstream):
    name = equal_pair(gateway, upstream, second_upstream, strategy="latency")
    upstream.otherwise(sse(0.3, OPENED, chunk({"content": "well"}), chunk({}, "stop")))
    second_upstream.otherwise(sse(OPENED, chunk({"content": "well"}), chunk({}, "stop")))
    for _ in range(10):
        assert ask(gateway, name, stream=True).text == "well"
    assert (len(upstream.requests), len(second_upstream.requests)) == (1, 9)


def test_a_session_goes_on_with_its_upstream_and_key_whatever_the_strategy(gateway, upstream, second_upstream):
    name = equal_pair(gateway, upstream, second_upstream, strategy="round_robin")
    for _ in range(9):
        ask(gateway, name, **{"x-claude-code-session-id": name})
    assert sorted((len(upstream.requests), len(second_upstream.requests))) == [0, 9]


# Below a prefix


def test_a_model_below_a_prefix_is_reached_and_listed_only_there(gateway, upstream):
    name = named(upstream, gateway)
    change_model(gateway, name, path_prefix=f"/{name}")
    upstream.otherwise(json_reply(WELL))
    body = {"model": name, "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}

    def names(prefix):
        return [
            listed_model["id"]
            for listed_model in gateway.http.get(f"{gateway.url}{prefix}/v1/models", headers=gateway.client_headers).json()["data"]
        ]

    def status(prefix):
        return gateway.http.post(f"{gateway.url}{prefix}/v1/messages", headers=gateway.client_headers, json=body).status_code

    assert ([status(""), status(f"/{name}")], names(f"/{name}"), name in names("")) == ([404, 200], [name], False)


# Headers of errors


REFUSED = (
    ("POST", "/v1/messages", 401),
    ("POST", "/v1/messages/count_tokens", 401),
    ("POST", "/v1/embeddings", 401),
    ("POST", "/model/x/invoke", 403),
    ("GET", "/v1/models", 401),
    ("POST", "/v1/nothing", 404),
    ("GET", "/v1/messages", 405),
)


@pytest.mark.parametrize(("method", "path", "status"), REFUSED)
def test_errors_carry_the_requests_id_too(gateway, method, path, status):
    answer = gateway.http.request(method, gateway.url + path, headers={"x-request-id": "mine"}, content=json.dumps({"model": "x"}))
    assert (answer.status_code, answer.headers["x-pxbin-request-id"]) == (status, "mine")

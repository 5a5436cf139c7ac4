"""The rules of routing with a real gateway: cooldowns, keys, retries, deadlines, affinity, headers, races, cancellation."""

import asyncio
import datetime as dt
import json
import random
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.test_chaos import OPENED, STREAM, WELL, ClientCall, answering, error, named, two
from tests.support.fake_upstream import CLOSE, HANG, RESET, FakeUpstream, Reply, event, json_reply, sse
from tests.support.gateway import Gateway
from tests.support.sizes import PROOF
from tests.support.waiting import PATIENCE, eventually


@pytest.fixture(scope="module")
def gateway():
    with Gateway.started(PXBIN_CB_FAILURE_THRESHOLD="1000", PXBIN_HOLD_SECONDS="0.5") as running:
        yield running


def upstream_of(gateway, name):
    return gateway.id_of("/upstreams", name)


def change_model(gateway, name, **fields):
    gateway.api("PATCH", f"/models/{gateway.id_of('/models', name)}", json=fields)


def credentials_of(gateway, name):
    return gateway.api("GET", "/credentials", params={"upstream_id": upstream_of(gateway, name)})


def with_keys(gateway, upstream, *keys, **fields):
    name = named(upstream, gateway, api_key=keys[0], **fields)
    upstream_id = upstream_of(gateway, name)
    for key in keys[1:]:
        gateway.api("POST", "/credentials", json={"upstream_id": upstream_id, "api_key": key})
    return name


def keys_of(upstream):
    return [request.header("authorization").removeprefix("Bearer ") for request in upstream.requests]


def seconds_left(credential):
    """Of its cooldown."""
    return (dt.datetime.fromisoformat(credential["cooling_until"]) - dt.datetime.now(dt.UTC)).total_seconds()


def ask(gateway, model, *, stream=False, dialect="messages", **headers):
    """One request of a session of its own."""
    return ClientCall(gateway, model, dialect, stream=stream, **{"x-claude-code-session-id": uuid.uuid4().hex, **headers})


# Keys and cooldowns


def test_a_rate_limited_key_rests_as_long_as_its_provider_says_and_the_next_key_answers_at_once(gateway, upstream):
    name = with_keys(gateway, upstream, "k1", "k2", cooldown_seconds=60)
    limited = error(429, retry_after="4")
    upstream.otherwise(lambda request: limited if request.header("authorization") == "Bearer k1" else answering(request))
    assert (ask(gateway, name).answer.status_code, keys_of(upstream)) == (200, ["k1", "k2"])
    assert [bool(row["cooling_until"]) for row in credentials_of(gateway, name)] == [True, False]
    for _ in range(2):
        assert ask(gateway, name).answer.status_code == 200
    assert keys_of(upstream)[2:] == ["k2", "k2"]
    assert eventually(lambda: credentials_of(gateway, name)[0]["cooling_until"] is None)
    upstream.otherwise(answering)
    for _ in range(2):
        ask(gateway, name)
    assert sorted(keys_of(upstream)[4:]) == ["k1", "k2"]
    assert [row["cooling_until"] for row in credentials_of(gateway, name)] == [None, None]


def test_reset_headers_say_how_long_where_retry_after_does_not(gateway, upstream):
    name = with_keys(gateway, upstream, "k1", "k2", cooldown_seconds=60)
    upstream.reply(error(429, x_ratelimit_remaining_tokens="0", x_ratelimit_reset_tokens="5m"))
    upstream.otherwise(answering)
    ask(gateway, name)
    assert 200 < seconds_left(credentials_of(gateway, name)[0]) <= 300


def test_a_cooldown_of_zero_seconds_is_not_stored(gateway, upstream):
    name = with_keys(gateway, upstream, "k1", "k2", cooldown_seconds=0)
    upstream.reply(error(429, retry_after="60"))
    upstream.otherwise(answering)
    ask(gateway, name)
    assert [row["cooling_until"] for row in credentials_of(gateway, name)] == [None, None]


def test_a_refused_key_is_disabled_until_it_is_switched_on_again(gateway, upstream):
    name = with_keys(gateway, upstream, "k1", "k2")
    refused = error(401, "no such key")
    upstream.otherwise(lambda request: refused if request.header("authorization") == "Bearer k1" else answering(request))
    assert [ask(gateway, name).answer.status_code for _ in range(3)] == [200] * 3
    assert keys_of(upstream) == ["k1", "k2", "k2", "k2"]
    assert eventually(lambda: credentials_of(gateway, name)[0]["disabled_reason"])
    first, second = credentials_of(gateway, name)
    assert (first["disabled_reason"][:25], second["disabled_reason"]) == ("the upstream answered 401", None)
    gateway.api("PATCH", f"/credentials/{first['id']}", json={"is_active": True})
    assert credentials_of(gateway, name)[0]["disabled_reason"] is None
    upstream.otherwise(answering)
    for _ in range(2):
        ask(gateway, name)
    assert sorted(keys_of(upstream)[4:]) == ["k1", "k2"]


def test_the_last_key_is_never_disabled(gateway, upstream):
    name = with_keys(gateway, upstream, "k1")
    upstream.otherwise(error(401))
    assert [ask(gateway, name).answer.status_code for _ in range(2)] == [502, 502]
    assert (keys_of(upstream), credentials_of(gateway, name)[0]["disabled_reason"]) == (["k1", "k1"], None)


def test_the_same_prefix_goes_to_the_same_key(gateway, upstream):
    name = with_keys(gateway, upstream, "k1", "k2", "k3", "k4")
    upstream.otherwise(answering)
    for turn in range(25):
        for session in range(4):
            system = f"You are number {session} of {name}."
            messages = [
                {"role": "user", "content": "Hi"},
                *[{"role": "assistant", "content": "x"}, {"role": "user", "content": "go"}] * turn,
            ]
            body = {"model": name, "max_tokens": 9, "system": system, "messages": messages}
            gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
    keys = keys_of(upstream)
    assert [len(set(keys[session::4])) for session in range(4)] == [1, 1, 1, 1]
    assert len(set(keys)) == 4


# Retries and deadlines


def test_the_same_candidate_is_asked_again_only_when_no_other_is_left(gateway, upstream, second_upstream):
    name = two(gateway, upstream, second_upstream, max_retries=2, retry_base_delay_ms=100)
    upstream.reply(error(503), error(503))
    upstream.otherwise(answering)
    second_upstream.otherwise(error(500))
    call = ask(gateway, name)
    assert (call.answer.status_code, len(upstream.requests), len(second_upstream.requests)) == (200, 3, 1)
    tries = call.row()["tries"]
    assert [attempt["status_code"] for attempt in tries] == [503, 500, 503, 200]


def test_without_max_retries_a_status_is_not_asked_again(gateway, upstream):
    upstream.otherwise(error(503))
    assert (ask(gateway, named(upstream, gateway)).answer.status_code, len(upstream.requests)) == (529, 1)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_models_deadline_ends_all_attempts(gateway, upstream, second_upstream, stream):
    name = two(gateway, upstream, second_upstream, first_byte_timeout_seconds=0.5)
    change_model(gateway, name, timeout_seconds=2)
    upstream.otherwise(Reply(instead=HANG))
    second_upstream.otherwise(Reply(instead=HANG))
    call = ask(gateway, name, stream=stream)
    assert (call.answer.status_code, len(upstream.requests), len(second_upstream.requests)) == (200 if stream else 504, 1, 1)
    assert '"type":"timeout_error"' in call.answer.text
    assert call.row()["outcome"] == "failed"
    assert second_upstream.requests[0].left_early.wait(PATIENCE)


# What a client can see and choose


def test_headers_name_the_upstream_that_answered_also_for_errors(gateway, upstream):
    name = named(upstream, gateway)
    upstream.reply(json_reply(WELL), error(500))
    for _ in range(2):
        headers = ask(gateway, name).answer.headers
        assert (headers["x-pxbin-upstream"], headers["x-pxbin-model"], headers["x-pxbin-attempts"]) == (name, name, "1")
        assert headers["x-pxbin-request-id"]
        assert float(headers["x-pxbin-overhead-ms"]) > 0


def test_only_keys_that_may_choose_an_upstream(gateway, upstream, second_upstream):
    name = two(gateway, upstream, second_upstream)
    upstream.otherwise(answering)
    second_upstream.otherwise(answering)
    refused = ask(gateway, name, **{"x-pxbin-upstream": f"{name}-well"}).answer
    assert (refused.status_code, refused.json()["error"]["type"]) == (403, "permission_error")
    key = gateway.api("POST", "/keys", json={"name": "chooser", "may_choose_upstream": True})["key"]
    chosen = {"x-api-key": key, "x-pxbin-upstream": f"{name}-well"}
    assert ask(gateway, name, **chosen).answer.headers["x-pxbin-upstream"] == f"{name}-well"
    assert (len(upstream.requests), len(second_upstream.requests)) == (0, 1)
    other_id = gateway.add_upstream(upstream, name=f"{name}-other")
    for upstream_name, message in (("none", "There is no upstream 'none'"), (other_id, f"'{name}' has no route to {name}-other")):
        answer = ask(gateway, name, **{**chosen, "x-pxbin-upstream": upstream_name}).answer
        assert (answer.status_code, answer.json()["error"]["message"]) == (400, message)
        assert answer.headers["x-pxbin-model"] == name
    assert ask(gateway, name, **{"x-pxbin-trace": "1"}).answer.status_code == 403
    traced = json.loads(ask(gateway, name, **chosen, **{"x-pxbin-trace": "1"}).answer.headers["x-pxbin-trace"])
    assert [target["upstream"] for target in traced["tried"]] == [f"{name}-well"]
    assert [target["skipped"] for target in traced["skipped"]] == ["another upstream was chosen"]


def test_headers_can_be_switched_off(upstream):
    with Gateway.started(PXBIN_RESPONSE_HEADERS="0", PXBIN_CELERY="false") as quiet:
        answer = ask(quiet, "echo").answer
        key = quiet.api("POST", "/keys", json={"name": "chooser", "may_choose_upstream": True})["key"]
        answers = [ask(quiet, "echo", **{"x-api-key": key, "x-pxbin-trace": word}).answer for word in ("0", "1")]
    assert (answer.status_code, [name for name in answer.headers if name.startswith("x-pxbin-")]) == (200, [])
    assert ["x-pxbin-trace" in answer.headers for answer in answers] == [False, True]


def test_routes_that_accept_no_images_are_skipped(gateway, upstream, second_upstream):
    name = two(gateway, upstream, second_upstream, capabilities={"images": False})
    second_upstream.otherwise(answering)
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
    body = {"model": name, "max_tokens": 9, "messages": [{"role": "user", "content": [image]}]}
    answer = gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
    assert (answer.status_code, len(upstream.requests), len(second_upstream.requests)) == (200, 0, 1)
    (row,) = gateway.logs(1, model=name)
    assert [skip["skipped"] for skip in row["routing"]] == ["takes no images"]


# The hold, and races


def test_after_the_hold_the_stream_is_open_and_candidates_still_change(gateway, upstream, second_upstream):
    name = two(gateway, upstream, second_upstream)
    opened = threading.Event()
    upstream.otherwise(sse(OPENED, opened.is_set, RESET))
    second_upstream.otherwise(answering)
    body = {"model": name, "max_tokens": 9, "stream": True, "messages": [{"role": "user", "content": "Hi"}]}
    url, headers = f"{gateway.url}/v1/messages", gateway.client_headers
    with gateway.http.stream("POST", url, headers=headers, json=body) as answer:
        opened.set()
        names = [line[7:] for line in answer.iter_lines() if line.startswith("event: ")]
    assert names[0] == "message_start"
    assert names.count("message_start") == 1
    assert names[-1] == "message_stop"
    (row,) = gateway.logs(1, model=name)
    assert (row["outcome"], row["attempts"]) == ("finished", 2)


LATE = {
    "close": (CLOSE,),
    "error event": (event({"error": {"message": "no", "type": "server_error"}}),),
    "idle": (HANG,),
}
DIALECTS = ("messages", "chat", "responses", "invoke")
LAST_WORDS = {"messages": '"type":"error"', "chat": '"error":{', "responses": "event: response.failed", "invoke": "exception-type"}


@pytest.fixture(scope="module")
def late_failures(gateway, fake_loop):
    """Streams that open and fail after the hold: all dialects and endings, without and with a healthy second, raced or not.

    All are sent at once, since nearly all of each is waiting.
    """
    sick = {ending: FakeUpstream(fake_loop) for ending in LATE}
    well = FakeUpstream(fake_loop)
    well.otherwise(lambda request: sse(*STREAM, before=3.5))  # after the failures, and after them all in a race
    models = {}
    for ending, pieces in LATE.items():
        sick[ending].otherwise(sse(OPENED, HANG) if ending == "idle" else sse(OPENED, 1.7, *pieces))
        patience = {"idle_timeout_seconds": 1.7} if ending == "idle" else {}
        models[ending, "alone"] = named(sick[ending], gateway, **patience)
        models[ending, "second"] = two(gateway, sick[ending], well, **patience)
        models[ending, "raced"] = two(gateway, sick[ending], well, **patience)
        change_model(gateway, models[ending, "raced"], hedge_after_ms=50)
        models[ending, "both"] = hedged_model = two(gateway, sick[ending], sick[ending], **patience)
        gateway.api("PATCH", f"/upstreams/{upstream_of(gateway, f'{hedged_model}-well')}", json={"idle_timeout_seconds": 60, **patience})
        change_model(gateway, hedged_model, hedge_after_ms=50)
    cases = [(*model, dialect) for model in models for dialect in DIALECTS]
    with ThreadPoolExecutor(len(cases)) as pool:
        calls = pool.map(lambda case: ask(gateway, models[case[:2]], stream=True, dialect=case[2]), cases)
        yield dict(zip(cases, calls, strict=True))
    for upstream in (*sick.values(), well):
        upstream.stop()


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("second", ["second", "raced"])
@pytest.mark.parametrize("ending", LATE)
def test_a_failure_after_the_hold_and_before_content_is_hidden_when_another_target_answers(late_failures, ending, second, dialect):
    call = late_failures[ending, second, dialect]
    assert (call.answer.status_code, call.text) == (200, "well"), call.answer.text
    row = call.row()
    assert (row["outcome"], [attempt["outcome"] for attempt in row["tries"]]) == ("finished", ["failed", "finished"])
    assert LAST_WORDS[dialect].encode() not in call.answer.content
    if dialect == "responses":
        sequence_numbers = [json.loads(line[6:])["sequence_number"] for line in call.answer.text.splitlines() if line.startswith("data: {")]
        assert sequence_numbers == list(range(len(sequence_numbers)))


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("second", ["alone", "both"])
@pytest.mark.parametrize("ending", LATE)
def test_a_failure_after_the_hold_is_sent_once_when_no_target_answers(late_failures, ending, second, dialect):
    call = late_failures[ending, second, dialect]
    assert (call.answer.status_code, call.answer.content.count(LAST_WORDS[dialect].encode())) == (200, 1), call.answer.text
    row = call.row()
    assert (row["outcome"], row["attempts"]) == ("failed", 1 if second == "alone" else 2)


def test_a_chat_client_gets_the_usage_that_it_asked_for_after_the_hold_too(gateway, upstream):
    upstream.otherwise(sse(*STREAM, before=1.5))
    name = named(upstream, gateway)
    body = {"model": name, "stream": True, "stream_options": {"include_usage": True}, "messages": [{"role": "user", "content": "Hi"}]}
    answer = gateway.http.post(f"{gateway.url}/v1/chat/completions", headers=gateway.client_headers, json=body)
    assert '"prompt_tokens":5' in answer.text


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_hedging_takes_the_faster_attempt_and_logs_the_other_as_cancelled(gateway, upstream, second_upstream, stream):
    name = two(gateway, upstream, second_upstream)
    change_model(gateway, name, hedge_after_ms=200)
    upstream.otherwise(sse(OPENED, HANG) if stream else Reply(instead=HANG))
    second_upstream.otherwise(answering)
    call = ask(gateway, name, stream=stream)
    assert (call.answer.status_code, call.text) == (200, "well")
    assert upstream.requests[0].left_early.wait(PATIENCE)
    row = call.row()
    assert (row["outcome"], [attempt["outcome"] for attempt in row["tries"]]) == ("finished", ["cancelled", "finished"])
    assert row["upstream_name"] == f"{name}-well"
    if not stream:  # a stream that is opened after the hold cannot say it yet
        assert call.answer.headers["x-pxbin-upstream"] == f"{name}-well"


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_hedging_names_the_first_attempt_if_it_answers_first(gateway, upstream, second_upstream, stream):
    name = two(gateway, upstream, second_upstream)
    change_model(gateway, name, hedge_after_ms=300)

    def raced():
        return second_upstream.requests

    upstream.otherwise(sse(*STREAM, before=raced) if stream else json_reply(WELL, before=raced))
    second_upstream.otherwise(Reply(instead=HANG))
    call = ask(gateway, name, stream=stream)
    assert call.text == "well"
    row = call.row()
    assert (row["upstream_name"], [attempt["outcome"] for attempt in row["tries"]]) == (name, ["cancelled", "finished"])
    if not stream:  # a stream that is opened after the hold cannot say it yet
        assert (call.answer.headers["x-pxbin-upstream"], call.answer.headers["x-pxbin-attempts"]) == (name, "2")
    assert 0 < float(call.answer.headers["x-pxbin-overhead-ms"]) <= row["latency_ms"] + 1 - 300  # waiting for upstreams is none


def test_usage_that_the_cancelled_attempt_reported_is_billed(gateway, upstream, second_upstream):
    name = two(gateway, upstream, second_upstream, format="anthropic")
    change_model(gateway, name, hedge_after_ms=100)
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "m", "content": [], "usage": {"input_tokens": 5}}
    upstream.otherwise(sse(event({"type": "message_start", "message": message}, name="message_start"), HANG))
    second_upstream.otherwise(sse(b"".join(STREAM), before=0.5))
    row = ask(gateway, name, stream=True).row()
    assert [(attempt["outcome"], attempt["input_tokens"]) for attempt in row["tries"]] == [("cancelled", 5), ("finished", 5)]
    assert (row["input_tokens"], row["output_tokens"], row["usage_estimated"]) == (10, 2, True)


# Many at once


SICK = (
    Reply(instead=RESET),
    error(500),
    error(429, retry_after="1"),
    sse(OPENED),
    sse(OPENED, 0.01, RESET),
    json_reply({"error": {"message": "no"}}),
)


NUMBER = 10_000 if PROOF else 200


@pytest.mark.parametrize(("cooldown_seconds", "calls"), [(0, NUMBER // 10), (0.2, 5)], ids=["always tried", "cooling"])
async def test_with_one_healthy_candidate_no_request_fails_before_its_first_token(
    gateway, upstream, second_upstream, cooldown_seconds, calls
):
    name = two(gateway, upstream, second_upstream, cooldown_seconds=cooldown_seconds)
    upstream.otherwise(lambda request: random.choice(SICK))
    second_upstream.otherwise(answering)
    waiting = asyncio.Semaphore(20)
    async with httpx.AsyncClient(timeout=PATIENCE) as http:

        async def send(number):
            body = {"model": name, "max_tokens": 9, "stream": bool(number % 2), "messages": [{"role": "user", "content": str(number)}]}
            async with waiting:
                answer = await http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
            return answer.status_code, "well" in answer.text

        assert set(await asyncio.gather(*(send(number) for number in range(NUMBER)))) == {(200, True)}
    assert len(upstream.requests) >= calls

"""What a real gateway learns from refusals: which ones concern the credential, which ones the request, and which ones the address."""

import json
import uuid

import pytest

from tests.e2e.test_chaos import WELL, ClientCall, answering, named
from tests.e2e.test_routing import ask, credentials_of, with_keys
from tests.support.fake_upstream import Reply, bytes_reply, json_reply, sse
from tests.support.gateway import Gateway
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def gateway():
    with Gateway.started(PXBIN_CB_FAILURE_THRESHOLD="1000", PXBIN_HOLD_SECONDS="60") as running:
        yield running


def with_fallback(gateway, upstream, second_upstream, **fields):
    name, well = named(upstream, gateway, **{"cooldown_seconds": 60, **fields}), named(second_upstream, gateway)
    gateway.api("PATCH", f"/models/{gateway.id_of('/models', name)}", json={"fallbacks": [well]})
    second_upstream.otherwise(answering)
    return name


def refusing(status, body):
    return bytes_reply(body, status=status) if isinstance(body, bytes) else json_reply(body, status=status)


OF_THE_REQUEST = {
    "unknown model": (401, {"type": "error", "error": {"type": "ModelError", "message": "Model typo-1 is not supported"}}, 404),
    "moderation": (403, {"error": {"code": 403, "message": "Input was flagged", "metadata": {"reasons": ["violence"]}}}, 403),
    "model not in plan": (403, {"error": {"message": "Project `p` has no access to model `typo-1`", "code": "model_not_found"}}, 403),
    "region": (400, [{"error": {"code": 400, "message": "User location is not supported for the API use."}}], 403),
    "firewall": (403, b"<html><title>Attention Required! | Cloudflare</title></html>", 403),
}


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("case", OF_THE_REQUEST)
def test_a_refusal_of_a_request_is_sent_once_and_disables_and_cools_no_key(gateway, upstream, case, stream):
    status, body, client_status = OF_THE_REQUEST[case]
    name = with_keys(gateway, upstream, "k1", "k2", "k3", cooldown_seconds=60)
    upstream.otherwise(refusing(status, body))
    assert ask(gateway, name, stream=stream, dialect="chat").answer.status_code == client_status
    assert len(upstream.requests) == 1
    upstream.otherwise(answering)
    assert ask(gateway, name).answer.status_code == 200
    assert [(row["disabled_reason"], row["cooling_until"]) for row in credentials_of(gateway, name)] == [(None, None)] * 3


def test_a_refusal_of_a_request_goes_to_the_next_upstream(gateway, upstream, second_upstream):
    name = with_fallback(gateway, upstream, second_upstream)
    upstream.otherwise(refusing(*OF_THE_REQUEST["moderation"][:2]))
    assert [ask(gateway, name).answer.status_code for _ in range(2)] == [200, 200]
    assert (len(upstream.requests), len(second_upstream.requests)) == (2, 2)


OF_THE_ACCOUNT = {
    "usage limits": (400, "You have reached your specified API usage limits. You will regain access on 2026-12-01."),
    "credit balance": (400, "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."),
    "organization": (400, "This organization has been disabled."),
    "hard limit": (400, "Billing hard limit has been reached"),
    "expired key": (400, "API key expired. Please renew the API key."),
    "balance": (402, "Insufficient Balance"),
    "balance as 403": (403, "Insufficient Balance"),
}


@pytest.mark.parametrize("case", OF_THE_ACCOUNT)
def test_the_fallback_answers_while_an_account_without_balance_rests(gateway, upstream, second_upstream, case):
    status, message = OF_THE_ACCOUNT[case]
    name = with_fallback(gateway, upstream, second_upstream)
    upstream.otherwise(json_reply({"error": {"message": message, "type": "invalid_request_error"}}, status=status))
    responses = [ask(gateway, name, dialect="chat").answer for _ in range(2)]
    assert [response.status_code for response in responses] == [200, 200]
    assert not any(message in response.text for response in responses)
    assert (len(upstream.requests), len(second_upstream.requests)) == (1, 2)


@pytest.mark.parametrize(
    ("status", "message"), [(404, "The model typo does not exist"), (429, "Rate limit reached for typo"), (503, "busy")]
)
def test_a_remote_name_that_fails_cools_no_other_name_of_the_same_pattern_route(gateway, upstream, second_upstream, status, message):
    prefix = f"p{uuid.uuid4().hex[:6]}"
    first, second = (gateway.id_of("/upstreams", named(fake, gateway, cooldown_seconds=60)) for fake in (upstream, second_upstream))
    model = gateway.api("POST", "/models", json={"name": f"{prefix}/*", "upstream_id": first, "remote_name": ""})
    gateway.api("POST", "/routes", json={"model_id": model["id"], "upstream_id": second, "remote_name": "", "priority": 5})
    failed = json_reply({"error": {"message": message, "type": "invalid_request_error"}}, status=status)
    upstream.otherwise(lambda request: failed if "typo" in request.json()["model"] else answering(request))
    second_upstream.otherwise(answering)
    for _ in range(2):
        assert ask(gateway, f"{prefix}/typo").answer.status_code == 200
    assert (len(upstream.requests), len(second_upstream.requests)) == (1, 2)
    for _ in range(3):
        assert ask(gateway, f"{prefix}/good").answer.status_code == 200
    assert (len(upstream.requests), len(second_upstream.requests)) == (4, 2)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(
    ("status", "message"),
    [
        (301, "The upstream redirects to https://new.example/v1/chat: change its address"),
        (308, "The upstream redirects to https://new.example/v1/chat: change its address"),
        (204, "The upstream answered 204, which has no content"),
        (304, "The upstream answered 304, which has no content"),
    ],
)
def test_a_redirect_and_an_empty_response_are_named(gateway, upstream, status, message, stream):
    name = named(upstream, gateway)
    headers = {} if status in (204, 304) else {"location": "https://user:secret@new.example/v1/chat?key=secret", "content-length": "0"}
    upstream.otherwise(Reply(status, headers, chunked=False))
    call = ask(gateway, name, stream=stream, dialect="chat")
    assert (call.answer.status_code, call.answer.json()["error"]["message"]) == (502, message)
    row = call.row()
    assert (row["upstream_status"], row["error_message"]) == (status, message)


BAD_HEADERS = [
    ("retry-after", "Wed, 21 Oct 2015 07:28:00 +9999999999999"),
    ("retry-after", "Fri, 31 Dec 9999 23:59:59 -2359"),
    ("retry-after", "9" * 400),
    ("retry-after", "-1"),
    ("retry-after", "nan"),
    ("retry-after", "\u20ac"),
    ("retry-after-ms", "9" * 400),
    ("x-ratelimit-reset-requests", "0001-01-01T00:00:00+23:59"),
    ("anthropic-ratelimit-tokens-reset", "9999-12-31T23:59:59-23:59"),
    ("x-request-id", "\u20ac"),
    ("x-ratelimit-limit-requests", "\u20ac"),
]


@pytest.mark.parametrize(("header", "value"), BAD_HEADERS, ids=[f"{header} {value[:20]}" for header, value in BAD_HEADERS])
@pytest.mark.parametrize("status", [429, 503])
def test_no_header_of_an_upstream_defeats_the_fallback(gateway, upstream, second_upstream, header, value, status):
    name = with_fallback(gateway, upstream, second_upstream)
    upstream.otherwise(json_reply({"error": {"message": "slow down"}}, status=status, headers={header: value}))
    assert ask(gateway, name).answer.status_code == 200
    alone = named(upstream, gateway)
    assert ask(gateway, alone, dialect="chat").answer.status_code in (429, 503)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_strategy_latency_measures_whole_responses_and_streams_in_one_read(gateway, upstream, second_upstream, stream):
    name = named(upstream, gateway)
    model = gateway.id_of("/models", name)
    second_id = gateway.id_of("/upstreams", named(second_upstream, gateway))
    gateway.api("PATCH", f"/models/{model}", json={"strategy": "latency"})
    gateway.api("POST", "/routes", json={"model_id": model, "upstream_id": second_id, "remote_name": name})
    in_one_read = (
        b"data: "
        + json.dumps(
            {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            | {"choices": [{"index": 0, "delta": {"content": "well"}, "finish_reason": "stop"}]}
        ).encode()
        + b"\n\ndata: [DONE]\n\n"
    )
    slow, quick = (sse(in_one_read, before=pause) if stream else json_reply(WELL, before=pause) for pause in (1.0, 0.0))
    upstream.otherwise(slow)
    second_upstream.otherwise(quick)
    calls: list[ClientCall] = [ask(gateway, name, stream=stream, dialect="chat") for _ in range(6)]
    assert (len(upstream.requests), len(second_upstream.requests)) == (1, 5)
    assert eventually(lambda: all(call.row()["ttft_ms"] is not None for call in calls))

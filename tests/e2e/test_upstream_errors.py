"""Errors of an upstream at a client of its own dialect: status, retry hints, rate limits, and the fields that only it knows."""

from typing import Any

import pytest

from tests.support.fake_upstream import json_reply

HELLO = [{"role": "user", "content": "Hi"}]
PATHS = {
    "anthropic": "/v1/messages",
    "bedrock": "/model/errors-bedrock/invoke",
    "openai": "/v1/chat/completions",
    "openai_responses": "/v1/responses",
}
BODIES: dict[str, dict[str, Any]] = {
    "anthropic": {"max_tokens": 9, "messages": HELLO},
    "bedrock": {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9, "messages": HELLO},
    "openai": {"messages": HELLO},
    "openai_responses": {"input": "Hi"},
}
LIMITS = {
    "anthropic": {"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-requests-remaining": "0"},
    "openai": {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"},
    "openai_responses": {"x-ratelimit-limit-tokens": "100", "x-ratelimit-remaining-tokens": "0"},
}


def ask(gateway, upstream, wire, reply, *, stream=False):
    """The client's answer to ``reply``; no retry hides it, because the model has one upstream."""
    name = f"errors-{wire}"
    gateway.add_upstream(upstream, name, name=name, format=wire, region="us-east-1")
    try:
        upstream.otherwise(reply)
        body = BODIES[wire] if wire == "bedrock" else {"model": name, **BODIES[wire]} | ({"stream": True} if stream else {})
        return gateway.http.post(gateway.url + PATHS[wire], json=body, headers=gateway.client_headers)
    finally:
        gateway.api("DELETE", f"/models/{gateway.id_of('/models', name)}")
        gateway.api("DELETE", f"/upstreams/{gateway.id_of('/upstreams', name)}")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("wire", LIMITS)
def test_a_rate_limit_tells_the_client_when_and_why(gateway, upstream, wire, stream):
    error = {"error": {"type": "rate_limit_error", "message": "slow down"}}
    limit_headers = {"retry-after": "287441", "retry-after-ms": "287441000", "x-should-retry": "false", **LIMITS[wire]}
    answer = ask(
        gateway, upstream, wire, json_reply(error, status=429, headers=limit_headers | {"set-cookie": "a=b", "server": "x"}), stream=stream
    )
    assert (answer.status_code, answer.json()["error"]["message"]) == (429, "slow down")
    assert {name: answer.headers[name] for name in limit_headers} == limit_headers
    assert "set-cookie" not in answer.headers


@pytest.mark.parametrize(
    ("wire", "status", "error", "shown"),
    [
        (
            "anthropic",
            409,
            {"type": "conflict_error", "message": "in flight", "details": {"error_code": "thread_continue_in_flight"}},
            (409, {"type": "conflict_error", "message": "in flight", "details": {"error_code": "thread_continue_in_flight"}}),
        ),
        (
            "anthropic",
            400,
            {"type": "invalid_request_error", "message": "bad", "details": {"a": 1}, "hint": {"field": "tools"}},
            (400, {"type": "invalid_request_error", "message": "bad", "details": {"a": 1}, "hint": {"field": "tools"}}),
        ),
        (
            "openai",
            400,
            {"message": "filtered", "type": None, "param": "prompt", "code": "content_filter", "innererror": {"code": "x"}, "status": 400},
            (
                400,
                {
                    "message": "filtered",
                    "type": "invalid_request_error",
                    "param": "prompt",
                    "code": "content_filter",
                    "innererror": {"code": "x"},
                    "status": 400,
                },
            ),
        ),
        (
            "openai_responses",
            400,
            {"message": "bad", "type": "custom_error", "param": "input", "code": "odd", "extra": [1]},
            (400, {"message": "bad", "type": "custom_error", "param": "input", "code": "odd", "extra": [1]}),
        ),
    ],
)
def test_an_error_keeps_the_fields_that_only_its_dialect_has(gateway, upstream, wire, status, error, shown):
    answer = ask(gateway, upstream, wire, json_reply({"type": "error", "error": error}, status=status))
    assert (answer.status_code, answer.json()["error"]) == shown


def test_an_exception_of_bedrock_keeps_its_fields(gateway, upstream):
    error = {"message": "broken", "originalStatusCode": 500, "resourceName": "arn:x"}
    answer = ask(gateway, upstream, "bedrock", json_reply(error, status=424, headers={"x-amzn-ErrorType": "ModelErrorException"}))
    assert (answer.status_code, answer.headers["x-amzn-errortype"], answer.json()) == (424, "ModelErrorException", error)


@pytest.mark.parametrize(("client", "wire"), [("openai", "anthropic"), ("anthropic", "openai")])
def test_no_native_field_reaches_another_dialect(gateway, upstream, client, wire):
    name = f"errors-{client}-{wire}"
    gateway.add_upstream(upstream, name, name=name, format=wire)
    upstream.otherwise(json_reply({"error": {"message": "bad", "type": "t", "innererror": {"a": 1}, "hint": 1}}, status=400))
    answer = gateway.http.post(gateway.url + PATHS[client], json={"model": name, **BODIES[client]}, headers=gateway.client_headers)
    assert answer.status_code == 400
    assert set(answer.json()["error"]) <= {"message", "type", "param", "code"}

"""Errors of the OpenAI family: every shape that servers use, and the one that clients get."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.errors import STATUSES, Failure

HTML = b"<!DOCTYPE html><html><body><h1>502 Bad Gateway</h1></body></html>"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"said","type":"t","param":null,"code":null}}', "said"),
        (b'{"error":"said"}', "said"),
        (b'{"message":"said"}', "said"),
        (b'{"error":"Not Found","message":"said"}', "said"),
        (b'{"detail":"said"}', "said"),
        (b'{"detail":[{"loc":["body"],"msg":"said","type":"missing"},{"msg":"again"}]}', "said; again"),
        (b'{"detail":{"error":"said"}}', "said"),
        (b'[{"error":{"message":"said"}}]', "said"),
        (b'{"error":{"error":{"message":"said"}}}', "said"),
        (b'{"object":"error","message":"said","code":400}', "said"),
        (b'{"error":{"code":400,"message":"said","status":"INVALID_ARGUMENT"}}', "said"),
        (
            b'{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"{\\"error\\":{\\"message\\":\\"said\\"}}"}}}',
            "Provider returned error: said",
        ),
        (b'{"error":{"message":"Provider returned error","code":400,"metadata":{"raw":"said"}}}', "Provider returned error: said"),
        (b"said", "said"),
        (b'"said"', "said"),
        (HTML, "The upstream answered with status 400 without a message."),
        (b"", "The upstream answered with status 400 without a message."),
        (b'{"error":{"mess', "The upstream answered with status 400 without a message."),
        (b"{}", "The upstream answered with status 400 without a message."),
        (b"null", "The upstream answered with status 400 without a message."),
        (b"\xff\xfe", "\N{REPLACEMENT CHARACTER}\N{REPLACEMENT CHARACTER}"),
        (b"[" * 100_000, "The upstream answered with status 400 without a message."),
    ],
)
def test_every_shape_of_error_is_read(body: bytes, message: str) -> None:
    failure = DIALECT.decode_error(400, {}, body)
    assert (failure.kind, failure.message, failure.status) == ("invalid_request", message, 400)


@pytest.mark.parametrize(
    ("status", "error", "kind"),
    [
        (400, {"message": "bad"}, "invalid_request"),
        (422, {"message": "bad"}, "invalid_request"),
        (400, {"message": "This model's maximum context length is 8192 tokens", "code": "context_length_exceeded"}, "context_length"),
        (400, {"message": "prompt is too long: 9 tokens"}, "context_length"),
        (402, {"message": "Insufficient credits"}, "billing"),
        (403, {"message": "no"}, "permission"),
        (404, {"message": "no such model"}, "model_not_found"),
        (408, {"message": "slow"}, "timeout"),
        (413, {"message": "big"}, "too_large"),
        (429, {"message": "slow down", "type": "requests", "code": "rate_limit_exceeded"}, "rate_limit"),
        (429, {"message": "no money", "type": "insufficient_quota", "code": None}, "quota"),
        (429, {"message": "no money", "type": "x", "code": "insufficient_quota"}, "quota"),
        (500, {"message": "boom"}, "upstream_error"),
        (502, {"message": "boom"}, "bad_gateway"),
        (503, {"message": "busy"}, "overloaded"),
        (504, {"message": "slow"}, "timeout"),
        (529, {"message": "busy"}, "overloaded"),
    ],
)
def test_a_status_says_what_kind_of_failure(status: int, error: dict[str, Any], kind: str) -> None:
    failure = DIALECT.decode_error(status, {}, json.dumps({"error": error}).encode())
    assert (failure.kind, failure.message) == (kind, error["message"])


def test_a_refused_key_is_never_quoted() -> None:
    body = b'{"error":{"message":"Incorrect API key provided: sk-live-123","type":"invalid_request_error","code":"invalid_api_key"}}'
    expected = Failure(kind="upstream_auth", message="upstream authentication failed", status=401, about="credential")
    assert DIALECT.decode_error(401, {}, body) == expected


def test_headers_that_a_client_may_act_upon_are_kept() -> None:
    headers = {"Retry-After": "7", "retry-after-ms": "7000", "x-should-retry": "true", "set-cookie": "a=b"}
    assert DIALECT.decode_error(429, headers, b"").headers == {"retry-after": "7", "retry-after-ms": "7000", "x-should-retry": "true"}


@pytest.mark.parametrize(
    ("kind", "status", "type_", "code"),
    [
        ("invalid_request", 400, "invalid_request_error", None),
        ("authentication", 401, "invalid_request_error", "invalid_api_key"),
        ("billing", 429, "insufficient_quota", "insufficient_quota"),
        ("permission", 403, "permission_error", None),
        ("not_found", 404, "invalid_request_error", None),
        ("model_not_found", 404, "invalid_request_error", "model_not_found"),
        ("method_not_allowed", 405, "invalid_request_error", "method_not_allowed"),
        ("conflict", 409, "invalid_request_error", "conflict"),
        ("too_large", 413, "invalid_request_error", "request_too_large"),
        ("context_length", 400, "invalid_request_error", "context_length_exceeded"),
        ("rate_limit", 429, "rate_limit_error", "rate_limit_exceeded"),
        ("quota", 429, "insufficient_quota", "insufficient_quota"),
        ("internal", 500, "server_error", None),
        ("upstream_error", 500, "server_error", None),
        ("bad_gateway", 502, "server_error", None),
        ("connect", 502, "server_error", None),
        ("network", 502, "server_error", None),
        ("overloaded", 503, "server_error", "overloaded"),
        ("timeout", 504, "timeout", "timeout"),
    ],
)
def test_every_kind_has_its_status_type_and_code(kind: Any, status: int, type_: str, code: str | None) -> None:
    error_body = DIALECT.encode_error(Failure(kind=kind, message="said", param="messages.0"), "req-1")
    assert (error_body.status, error_body.headers) == (status, {"x-request-id": "req-1"})
    assert json.loads(error_body.body) == {"error": {"message": "said", "type": type_, "param": "messages.0", "code": code}}


def test_what_any_upstream_says_of_our_key_is_not_shown() -> None:
    error_body = DIALECT.encode_error(Failure(kind="upstream_auth", message="Incorrect API key: sk-abc", status=401), "req-1")
    assert error_body.status == 502
    expected = {"message": "upstream authentication failed", "type": "server_error", "param": None, "code": "upstream_error"}
    assert json.loads(error_body.body) == {"error": expected}


def test_every_kind_of_failure_is_encoded() -> None:
    for kind in STATUSES:
        assert DIALECT.encode_error(Failure(kind=kind, message="said"), "").status >= 400  # type: ignore[arg-type]


def test_the_upstreams_own_code_shows_where_the_kind_has_none() -> None:
    error_body = DIALECT.encode_error(
        Failure(kind="invalid_request", message="said", code="invalid_value", headers={"retry-after": "1"}), "r"
    )
    assert json.loads(error_body.body)["error"]["code"] == "invalid_value"
    assert error_body.headers == {"retry-after": "1", "x-request-id": "r"}


def test_a_status_in_the_place_of_a_code_is_no_code() -> None:
    assert DIALECT.decode_error(400, {}, b'{"error":{"message":"said","code":400}}').code is None
    assert DIALECT.decode_error(400, {}, b'{"error":{"message":"said","code":"invalid_value"}}').code == "invalid_value"

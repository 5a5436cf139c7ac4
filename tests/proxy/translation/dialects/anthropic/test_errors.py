"""Error bodies of Anthropic, encoded and decoded (docs/wire-formats.md, section 12)."""

import json
from typing import Any

import pytest

from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.errors import Failure

REQUEST_ID = "req_1"


@pytest.mark.parametrize(
    ("kind", "status", "type_"),
    [
        ("invalid_request", 400, "invalid_request_error"),
        ("authentication", 401, "authentication_error"),
        ("billing", 402, "billing_error"),
        ("quota", 429, "billing_error"),
        ("permission", 403, "permission_error"),
        ("not_found", 404, "not_found_error"),
        ("model_not_found", 404, "not_found_error"),
        ("method_not_allowed", 405, "invalid_request_error"),
        ("conflict", 409, "conflict_error"),
        ("too_large", 413, "request_too_large"),
        ("rate_limit", 429, "rate_limit_error"),
        ("internal", 500, "api_error"),
        ("upstream_error", 500, "api_error"),
        ("bad_gateway", 502, "api_error"),
        ("connect", 502, "api_error"),
        ("network", 502, "api_error"),
        ("overloaded", 529, "overloaded_error"),
        ("timeout", 504, "timeout_error"),
    ],
)
def test_each_kind_is_encoded_with_its_status_and_type(kind: Any, status: int, type_: str) -> None:
    encoded = DIALECT.encode_error(Failure(kind=kind, message="Words"), REQUEST_ID)
    assert encoded.status == status
    assert json.loads(encoded.body) == {"type": "error", "error": {"type": type_, "message": "Words"}, "request_id": REQUEST_ID}
    assert encoded.headers == {"request-id": REQUEST_ID}


def test_headers_and_details_reach_the_client() -> None:
    failure = Failure(
        kind="rate_limit", message="Slow down", headers={"retry-after": "7"}, details={"error_code": "thread_unsupported_request"}
    )
    encoded = DIALECT.encode_error(failure, REQUEST_ID)
    assert encoded.headers == {"request-id": REQUEST_ID, "retry-after": "7"}
    assert json.loads(encoded.body)["error"]["details"] == {"error_code": "thread_unsupported_request"}


def test_what_an_upstream_says_about_its_credential_is_not_shown() -> None:
    encoded = DIALECT.encode_error(Failure(kind="upstream_auth", message="Incorrect API key: sk-abc", status=401), REQUEST_ID)
    assert (encoded.status, json.loads(encoded.body)["error"]) == (502, {"type": "api_error", "message": "upstream authentication failed"})


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("This model's maximum context length is 8192 tokens", "prompt is too long: This model's maximum context length is 8192 tokens"),
        ("prompt is too long: 210000 tokens > 200000 maximum", "prompt is too long: 210000 tokens > 200000 maximum"),
        ("Prompt is too long", "Prompt is too long"),
    ],
)
def test_an_overflow_begins_with_prompt_is_too_long(message: str, expected: str) -> None:
    body = json.loads(DIALECT.encode_error(Failure(kind="context_length", message=message), REQUEST_ID).body)
    assert body["error"] == {"type": "invalid_request_error", "message": expected}


@pytest.mark.parametrize(
    ("status", "body", "kind", "message"),
    [
        (
            400,
            b'{"type":"error","error":{"type":"invalid_request_error","message":"max_tokens: bad"}}',
            "invalid_request",
            "max_tokens: bad",
        ),
        (400, b'{"type":"error","error":{"message":"prompt is too long: 9 > 8"}}', "context_length", "prompt is too long: 9 > 8"),
        (401, b'{"error":{"message":"invalid x-api-key"}}', "upstream_auth", "invalid x-api-key"),
        (403, b'{"error":{"message":"no"}}', "permission", "no"),
        (404, b'{"error":{"message":"model: x"}}', "model_not_found", "model: x"),
        (413, b'{"error":{"message":"too big"}}', "too_large", "too big"),
        (429, b'{"error":{"message":"slow"}}', "rate_limit", "slow"),
        (500, b'{"error":"text"}', "upstream_error", "text"),
        (502, b"<html>Bad gateway</html>", "bad_gateway", "The upstream answered with status 502"),
        (503, b"", "overloaded", "The upstream answered with status 503"),
        (529, b'{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}', "overloaded", "Overloaded"),
        (504, b'{"message":"late"}', "timeout", "late"),
        (400, b'[{"error":{"message":"listed"}}]', "invalid_request", "listed"),
        (400, b'{"detail":"detailed"}', "invalid_request", "detailed"),
        (418, b"null", "invalid_request", "The upstream answered with status 418"),
    ],
)
def test_error_bodies_of_any_shape_are_decoded(status: int, body: bytes, kind: str, message: str) -> None:
    failure = DIALECT.decode_error(status, {}, body)
    assert (failure.kind, failure.message, failure.status) == (kind, message, status)


def test_retry_headers_and_details_of_an_upstream_are_decoded() -> None:
    headers = {"Retry-After": "3", "retry-after-ms": "2500", "X-Should-Retry": "true", "request-id": "req_x", "set-cookie": "a=b"}
    failure = DIALECT.decode_error(429, headers, b'{"error":{"message":"slow","details":{"a":1}}}')
    assert failure.headers == {"retry-after": "3", "retry-after-ms": "2500", "x-should-retry": "true"}
    assert failure.details == {"a": 1}


def test_a_very_long_message_is_cut() -> None:
    assert len(DIALECT.decode_error(400, {}, json.dumps({"error": {"message": "x" * 10000}}).encode()).message) == 2000

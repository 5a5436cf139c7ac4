"""Error bodies of Bedrock, encoded and decoded (docs/wire-formats.md, section 4)."""

import json
from typing import Any, get_args

import pytest

from proxy.translation.dialects.anthropic.dialect import DIALECT as MESSAGES
from proxy.translation.dialects.bedrock.dialect import DIALECT
from proxy.translation.errors import Failure, Kind

REQUEST_ID = "req_1"


@pytest.mark.parametrize(
    ("status", "name", "shown_status", "shown_type"),
    [
        (400, "ValidationException", 400, "invalid_request_error"),
        (413, "ValidationException", 413, "request_too_large"),
        (400, "ServiceQuotaExceededException", 429, "rate_limit_error"),
        (403, "AccessDeniedException", 403, "permission_error"),
        (403, "UnrecognizedClientException", 502, "api_error"),
        (404, "ResourceNotFoundException", 404, "not_found_error"),
        (408, "ModelTimeoutException", 504, "timeout_error"),
        (424, "ModelErrorException", 502, "api_error"),
        (424, "ModelStreamErrorException", 502, "api_error"),
        (429, "ThrottlingException", 429, "rate_limit_error"),
        (429, "ModelNotReadyException", 429, "rate_limit_error"),
        (500, "InternalServerException", 500, "api_error"),
        (503, "ServiceUnavailableException", 529, "overloaded_error"),
    ],
)
def test_each_exception_becomes_an_error_of_messages(status: int, name: str, shown_status: int, shown_type: str) -> None:
    headers = {"x-amzn-ErrorType": f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/"}
    failure = DIALECT.decode_error(status, headers, b'{"message":"Words"}')
    encoded = MESSAGES.encode_error(failure, REQUEST_ID)
    assert (encoded.status, json.loads(encoded.body)["error"]["type"], failure.message, failure.status) == (
        shown_status,
        shown_type,
        "Words",
        status,
    )


@pytest.mark.parametrize(
    ("status", "headers", "body", "kind", "message"),
    [
        (400, {}, b'{"__type":"com.amazon.coral.service#ValidationException","Message":"No"}', "invalid_request", "No"),
        (400, {"X-Amzn-Errortype": "ValidationException"}, b'{"message":"Input is too long"}', "context_length", "Input is too long"),
        (429, {}, b'{"message":"Too many requests"}', "rate_limit", "Too many requests"),
        (503, {"x-amzn-errortype": "SomethingNew"}, b"<html>", "overloaded", "The upstream answered with status 503"),
        (500, {}, b"", "upstream_error", "The upstream answered with status 500"),
    ],
)
def test_error_bodies_of_any_shape_are_decoded(status: int, headers: dict[str, str], body: bytes, kind: str, message: str) -> None:
    failure = DIALECT.decode_error(status, headers, body)
    assert (failure.kind, failure.message) == (kind, message)


@pytest.mark.parametrize(
    ("kind", "status", "name"),
    [
        ("invalid_request", 400, "ValidationException"),
        ("too_large", 413, "ValidationException"),
        ("authentication", 403, "UnrecognizedClientException"),
        ("permission", 403, "AccessDeniedException"),
        ("model_not_found", 404, "ResourceNotFoundException"),
        ("rate_limit", 429, "ThrottlingException"),
        ("quota", 400, "ServiceQuotaExceededException"),
        ("internal", 500, "InternalServerException"),
        ("bad_gateway", 424, "ModelErrorException"),
        ("overloaded", 503, "ServiceUnavailableException"),
        ("timeout", 408, "ModelTimeoutException"),
    ],
)
def test_each_kind_is_encoded_as_its_exception(kind: Any, status: int, name: str) -> None:
    encoded = DIALECT.encode_error(Failure(kind=kind, message="Words", headers={"retry-after": "1"}), REQUEST_ID)
    assert (encoded.status, json.loads(encoded.body)) == (status, {"message": "Words"})
    assert encoded.headers == {"x-amzn-ErrorType": name, "x-amzn-RequestId": REQUEST_ID, "retry-after": "1"}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_can_be_encoded(kind: Any) -> None:
    assert DIALECT.encode_error(Failure(kind=kind, message="Words"), REQUEST_ID).status >= 400
    assert DIALECT.break_off(Failure(kind=kind, message="Words"), 0)[0].event.endswith("Exception")


def test_what_an_upstream_says_about_its_credential_is_not_shown() -> None:
    encoded = DIALECT.encode_error(Failure(kind="upstream_auth", message="Key AKIA… is wrong"), REQUEST_ID)
    assert json.loads(encoded.body) == {"message": "upstream authentication failed"}

"""Errors of Google, in both directions."""

import json
from typing import get_args

import pytest

from proxy.translation.dialects.gemini.errors import decode_error, encode_error, failure_of_error
from proxy.translation.errors import Failure, Kind

RETRY = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "33.4s"}
REASON = {"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}


def body(code, status, message, *details):
    return json.dumps({"error": {"code": code, "message": message, "status": status, "details": list(details)}}).encode()


def test_the_delay_of_a_refusal_is_a_retry_after():
    failure = decode_error(429, {}, body(429, "RESOURCE_EXHAUSTED", "Slow down", RETRY))
    assert (failure.kind, failure.message, failure.headers) == ("rate_limit", "Slow down", {"retry-after": "34"})


def test_an_invalid_key_is_the_credentials_fault():
    failure = decode_error(400, {}, body(400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", REASON))
    assert (failure.kind, failure.about, failure.message) == ("upstream_auth", "credential", "upstream authentication failed")


@pytest.mark.parametrize("raw", [b"", b"<html>", b"null", b"[]", b'[{"error": {"message": "in an array"}}]', b'{"error": "text"}'])
def test_any_body_is_read(raw):
    assert decode_error(503, {}, raw).kind == "overloaded"


@pytest.mark.parametrize(
    ("status", "kind"), [("UNAVAILABLE", "overloaded"), ("INVALID_ARGUMENT", "invalid_request"), ("UNHEARD_OF", "rate_limit")]
)
def test_an_error_in_a_stream_goes_by_its_status(status, kind):
    assert failure_of_error({"code": 429, "message": "so", "status": status}).kind == kind


def test_a_client_reads_the_field_and_the_delay():
    failure = Failure(kind="rate_limit", message="Slow down", param="contents", headers={"retry-after": "5"})
    encoded = encode_error(failure, "req_1")
    details = [
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "contents", "description": "Slow down"}],
        },
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "5s"},
    ]
    error = {"code": 429, "message": "Slow down", "status": "RESOURCE_EXHAUSTED", "details": details}
    assert (encoded.status, json.loads(encoded.body)) == (429, {"error": error})
    assert encoded.headers == {"retry-after": "5", "x-request-id": "req_1"}


@pytest.mark.parametrize("kind", get_args(Kind))
def test_every_kind_of_failure_has_a_status(kind):
    encoded = encode_error(Failure(kind=kind, message="so"), "")
    assert json.loads(encoded.body)["error"]["code"] == encoded.status >= 400


def test_within_one_dialect_the_details_stay():
    failure = decode_error(400, {}, body(400, "FAILED_PRECONDITION", "No", {"@type": "x", "a": 1}))
    assert json.loads(encode_error(failure, "").body) == {
        "error": {"code": 400, "message": "No", "status": "FAILED_PRECONDITION", "details": [{"@type": "x", "a": 1}]}
    }

"""Failures on this wire: ``{"type":"error","error":{"type","message"},"request_id"}`` (wire formats, section 12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.translation import json_wire
from proxy.translation.dialects.base import ErrorBody, error_object
from proxy.translation.dialects.error_detail import read_error_detail
from proxy.translation.errors import CONTEXT_OVERFLOW, Failure, Kind, kind_for

TYPES: Mapping[Kind, str] = {
    "invalid_request": "invalid_request_error",
    "authentication": "authentication_error",
    "billing": "billing_error",
    "permission": "permission_error",
    "not_found": "not_found_error",
    "model_not_found": "not_found_error",
    "method_not_allowed": "invalid_request_error",
    "conflict": "conflict_error",
    "too_large": "request_too_large",
    "unsupported_encoding": "invalid_request_error",
    "context_length": "invalid_request_error",
    "rate_limit": "rate_limit_error",
    "quota": "billing_error",
    "internal": "api_error",
    "upstream_error": "api_error",
    "upstream_auth": "api_error",
    "bad_gateway": "api_error",
    "connect": "api_error",
    "network": "api_error",
    "overloaded": "overloaded_error",
    "timeout": "timeout_error",
}
KINDS: Mapping[str, Kind] = {
    "invalid_request_error": "invalid_request",
    "authentication_error": "upstream_auth",
    "billing_error": "billing",
    "permission_error": "permission",
    "not_found_error": "model_not_found",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "api_error": "upstream_error",
    "overloaded_error": "overloaded",
    "timeout_error": "timeout",
}
"""What an error type means in a stream, where no status tells."""

OVERLOADED_STATUS = 529
_OVERFLOW_WORDS = "prompt is too long"
_OVERFLOW_PREFIX = f"{_OVERFLOW_WORDS}: "
_PASSED_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")
_MAX_WORDS = 2000


# --- decode ----------------------------------------------------------------------------------------------------------


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure behind a non-2xx answer, whatever its body looks like."""
    value = error_object(body)
    message, type_, details = read_error(value)
    # Servers that only speak like Anthropic, and whatever stands before them, fail in other shapes.
    other = read_error_detail(value)
    message, type_ = message or other.message, other.code or type_
    return Failure(
        kind=kind_for(status, message, type_),
        message=message or f"The upstream answered with status {status}",
        status=status,
        headers=passed_headers(headers),
        details=details,
    )


def passed_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The reply headers that a client may act upon."""
    return {name.lower(): value for name, value in headers.items() if name.lower() in _PASSED_HEADERS}


def read_error(value: Any) -> tuple[str, str, dict[str, Any] | None]:
    """Message, type and details of an error body in any of the shapes that servers use; empty where it says nothing."""
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, str):
        return value[:_MAX_WORDS], "", None
    if not isinstance(value, dict):
        return "", "", None
    error = value.get("error")
    if isinstance(error, str):
        return error[:_MAX_WORDS], "", None
    if not isinstance(error, dict):
        error = value
    message = next((words for name in ("message", "detail", "error_message", "Message") if isinstance(words := error.get(name), str)), "")
    type_, details = error.get("type"), error.get("details")
    return message[:_MAX_WORDS], type_ if isinstance(type_, str) else "", details if isinstance(details, dict) else None


def stream_failure(message: str, type_: str, details: dict[str, Any] | None = None) -> Failure:
    """The failure that an error event in a stream tells."""
    kind = KINDS.get(type_, "upstream_error")
    if kind == "invalid_request" and any(words in message.lower() for words in CONTEXT_OVERFLOW):
        kind = "context_length"
    return Failure(kind=kind, message=message or "The upstream broke off with an error", details=details)


# --- encode ----------------------------------------------------------------------------------------------------------


def encode_error(failure: Failure, request_id: str) -> ErrorBody:
    """The HTTP answer for a client of this dialect."""
    body = json_wire.encode({"type": "error", "error": error_fields(failure), "request_id": request_id})
    return ErrorBody(status_of(failure), body, {"request-id": request_id, **failure.headers})


def status_of(failure: Failure) -> int:
    """The HTTP status; this dialect has its own for an overload."""
    return OVERLOADED_STATUS if failure.kind == "overloaded" else failure.http_status


def error_fields(failure: Failure) -> dict[str, Any]:
    """The error object, as it stands in a body and in a stream's error event."""
    fields: dict[str, Any] = {"type": TYPES[failure.kind], "message": shown_message(failure)}
    if failure.details is not None:
        fields["details"] = failure.details
    return fields


def shown_message(failure: Failure) -> str:
    """The upstream's words, but for its remarks on our key; clients know an overflow by how its message begins."""
    if failure.kind == "upstream_auth":
        return "upstream authentication failed"
    if failure.kind == "context_length" and _OVERFLOW_WORDS not in failure.message.lower():
        return _OVERFLOW_PREFIX + failure.message
    return failure.message

"""Error bodies: ``{"type": "error", "error": {"type", "message"}, "request_id"}`` (docs/wire-formats.md, section 12)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from proxy.translation import json_wire
from proxy.translation.context_overflow import is_context_overflow
from proxy.translation.dialects.anthropic.wire import FAMILY
from proxy.translation.dialects.base import ErrorBody, error_object
from proxy.translation.dialects.error_detail import read_error_detail, retry_headers
from proxy.translation.errors import MAINTENANCE, Failure, Kind, kind_for
from proxy.translation.refusals import is_page, refusal_of

TYPES: Mapping[Kind, str] = {
    "invalid_request": "invalid_request_error",
    "authentication": "authentication_error",
    "billing": "billing_error",
    "budget": "billing_error",
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
    "conflict_error": "conflict",
    "request_too_large": "too_large",
    "rate_limit_error": "rate_limit",
    "api_error": "upstream_error",
    "overloaded_error": "overloaded",
    "timeout_error": "timeout",
}
"""The failure kind of each error type. Used for error events in streams, which have no HTTP status."""

OVERLOADED_STATUS = 529
_OVERFLOW_TEXT = "prompt is too long"
_OVERFLOW_PREFIX = f"{_OVERFLOW_TEXT}: "
_MAX_MESSAGE_LENGTH = 2000
_NATIVE_LIMIT = 65_536
"""Bytes of the largest error body whose other fields are kept."""


# --- decode ----------------------------------------------------------------------------------------------------------


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure of a response that is not 2xx. Reads any body: JSON of other shapes, HTML, nothing."""
    value = error_object(body)
    message, type_, details = read_error(value)
    # Compatible servers, and proxies in front of them, send errors of other shapes.
    detail = read_error_detail(value)
    message, type_ = message or detail.message, detail.code or type_
    refusal = refusal_of(status, message, (type_, detail.type), is_page=is_page(body))
    kind, about = refusal or (kind_for(status, message, type_), "")
    return Failure(
        kind=kind,
        about=about,
        message=message or f"The upstream answered with status {status}",
        status=status,
        headers=retry_headers(headers),
        details=details,
        native=native_error(value, body) if kind != "upstream_auth" else None,
        native_dialect=FAMILY,
    )


def native_error(value: Any, body: bytes) -> dict[str, Any] | None:
    """The error object of a body of moderate size, for clients of the same dialect."""
    error = value.get("error") if isinstance(value, dict) and len(body) <= _NATIVE_LIMIT else None
    return error if isinstance(error, dict) else None


def read_error(value: Any) -> tuple[str, str, dict[str, Any] | None]:
    """Message, type and details of a decoded error body, in any shape that servers use; empty for what it does not have.

    The shapes: a list of errors (the first counts), a string, ``{"error": "..."}``, ``{"error": {...}}``, or the error object itself.
    The message is cut to 2000 characters.
    """
    if isinstance(value, list):
        value = value[0] if value else None
    if isinstance(value, str):
        return value[:_MAX_MESSAGE_LENGTH], "", None
    if not isinstance(value, dict):
        return "", "", None
    error = value.get("error")
    if isinstance(error, str):
        return error[:_MAX_MESSAGE_LENGTH], "", None
    if not isinstance(error, dict):
        error = value
    message = next((text for name in ("message", "detail", "error_message", "Message") if isinstance(text := error.get(name), str)), "")
    type_, details = error.get("type"), error.get("details")
    return message[:_MAX_MESSAGE_LENGTH], type_ if isinstance(type_, str) else "", details if isinstance(details, dict) else None


def stream_failure(message: str, type_: str, details: dict[str, Any] | None = None) -> Failure:
    """The failure that an ``error`` event of a stream reports."""
    kind = KINDS.get(type_, "upstream_error")
    if kind in ("invalid_request", "upstream_error", "too_large") and is_context_overflow(message):
        kind = "context_length"
    return Failure(kind=kind, message=message or "The upstream ended the stream with an error", details=details)


# --- encode ----------------------------------------------------------------------------------------------------------


def encode_error(failure: Failure, request_id: str) -> ErrorBody:
    """The HTTP error response for a client of this dialect."""
    body = json_wire.encode({"type": "error", "error": error_fields(failure), "request_id": request_id})
    return ErrorBody(http_status(failure), body, {"request-id": request_id, **failure.headers})


def http_status(failure: Failure) -> int:
    """The HTTP status of ``failure``: 529 for ``overloaded``, except for maintenance; otherwise the kind's own."""
    return OVERLOADED_STATUS if failure.kind == "overloaded" and failure.code != MAINTENANCE else failure.http_status


def error_fields(failure: Failure) -> dict[str, Any]:
    """The ``error`` object of an error body and of a stream's error event, with the fields that only the upstream's one has."""
    fields: dict[str, Any] = {"type": TYPES[failure.kind], "message": client_message(failure)}
    if failure.details is not None:
        fields["details"] = failure.details
    return failure.native | fields if failure.native is not None and failure.native_dialect == FAMILY else fields


def client_message(failure: Failure) -> str:
    """The message that the client gets: the upstream's, with two exceptions.

    What an upstream says about its credential is replaced. Overflows of the context begin with ``prompt is too long``, by which
    clients such as Claude Code recognise them.
    """
    if failure.kind == "upstream_auth":
        return "upstream authentication failed"
    if failure.kind == "context_length" and _OVERFLOW_TEXT not in failure.message.lower():
        return _OVERFLOW_PREFIX + failure.message
    return failure.message

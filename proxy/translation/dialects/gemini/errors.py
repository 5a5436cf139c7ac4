"""Error bodies: ``{"error": {"code", "message", "status", "details"}}`` (docs/wire-formats.md, section 16.8)."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from proxy.translation import json_wire
from proxy.translation.context_overflow import is_context_overflow
from proxy.translation.dialects.base import ErrorBody, error_object
from proxy.translation.dialects.error_detail import MESSAGE_LIMIT, read_error_detail, read_plain_text, retry_headers
from proxy.translation.dialects.gemini.wire import FAMILY
from proxy.translation.errors import Failure, Kind, kind_for
from proxy.translation.refusals import is_page, refusal_of

_STATUSES: Mapping[Kind, tuple[int, str]] = {
    "invalid_request": (400, "INVALID_ARGUMENT"),
    "context_length": (400, "INVALID_ARGUMENT"),
    "too_large": (413, "INVALID_ARGUMENT"),
    "unsupported_encoding": (415, "INVALID_ARGUMENT"),
    "authentication": (401, "UNAUTHENTICATED"),
    "billing": (429, "RESOURCE_EXHAUSTED"),
    "permission": (403, "PERMISSION_DENIED"),
    "not_found": (404, "NOT_FOUND"),
    "model_not_found": (404, "NOT_FOUND"),
    "method_not_allowed": (405, "UNIMPLEMENTED"),
    "conflict": (409, "ABORTED"),
    "rate_limit": (429, "RESOURCE_EXHAUSTED"),
    "quota": (429, "RESOURCE_EXHAUSTED"),
    "budget": (402, "RESOURCE_EXHAUSTED"),
    "internal": (500, "INTERNAL"),
    "upstream_error": (500, "INTERNAL"),
    "upstream_auth": (502, "UNAVAILABLE"),
    "bad_gateway": (502, "UNAVAILABLE"),
    "connect": (502, "UNAVAILABLE"),
    "network": (502, "UNAVAILABLE"),
    "overloaded": (503, "UNAVAILABLE"),
    "timeout": (504, "DEADLINE_EXCEEDED"),
}
"""HTTP status and ``status`` that a client gets for each kind of failure."""
_KINDS: Mapping[str, Kind] = {
    "INVALID_ARGUMENT": "invalid_request",
    "FAILED_PRECONDITION": "invalid_request",
    "OUT_OF_RANGE": "invalid_request",
    "UNAUTHENTICATED": "upstream_auth",
    "PERMISSION_DENIED": "permission",
    "NOT_FOUND": "model_not_found",
    "ABORTED": "conflict",
    "RESOURCE_EXHAUSTED": "rate_limit",
    "INTERNAL": "upstream_error",
    "UNKNOWN": "upstream_error",
    "UNAVAILABLE": "overloaded",
    "DEADLINE_EXCEEDED": "timeout",
}
"""The kind of each ``status`` where there is no HTTP status: in a stream."""
_TYPE = "type.googleapis.com/google.rpc."
_DELAY = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)s")
_NATIVE_LIMIT = 65_536
"""Bytes of the largest error body whose other fields are kept."""
_REFUSED_CREDENTIAL = "upstream authentication failed"


# --- decode ----------------------------------------------------------------------------------------------------------


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure of a response that is not 2xx. Reads any body: an array, JSON of other shapes, HTML, nothing."""
    value = error_object(body)
    error = _error_of(value)
    detail = read_error_detail(value)
    message = detail.message or (read_plain_text(body) if value is None else "")
    indications = (str(error.get("status", "")), *_reasons(error))
    refusal = refusal_of(status, message, indications, is_page=is_page(body))
    kind, about = refusal or (kind_for(status, message), "")
    passed = retry_headers(headers)
    if "retry-after" not in passed and (delay := _retry_delay(error)) is not None:
        passed["retry-after"] = delay
    if kind == "upstream_auth":
        return Failure(kind=kind, message=_REFUSED_CREDENTIAL, status=status, headers=passed, about=about)
    return Failure(
        kind=kind,
        about=about,
        message=(message or f"The upstream answered with status {status}")[:MESSAGE_LIMIT],
        status=status,
        headers=passed,
        native=error if error and len(body) <= _NATIVE_LIMIT else None,
        native_dialect=FAMILY,
    )


def failure_of_error(value: Any) -> Failure:
    """The failure of an ``error`` object in a stream, or in the body of a 200."""
    error = value if isinstance(value, dict) else {}
    message = read_error_detail(value).message or "The upstream reported an error without a message."
    kind = _KINDS.get(str(error.get("status", "")))
    if kind is None:
        code = error.get("code")
        kind = kind_for(code, message) if isinstance(code, int) and 400 <= code < 600 else "upstream_error"
    if kind in ("invalid_request", "upstream_error") and is_context_overflow(message):
        kind = "context_length"
    if kind == "upstream_auth":
        return Failure(kind=kind, message=_REFUSED_CREDENTIAL)
    return Failure(kind=kind, message=message[:MESSAGE_LIMIT], native=error or None, native_dialect=FAMILY)


def _error_of(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        value = value[0] if value else None
    error = value.get("error") if isinstance(value, dict) else None
    return error if isinstance(error, dict) else {}


def _details(error: dict[str, Any]) -> list[dict[str, Any]]:
    details = error.get("details")
    return [detail for detail in details if isinstance(detail, dict)] if isinstance(details, list) else []


def _reasons(error: dict[str, Any]) -> list[str]:
    return [detail["reason"] for detail in _details(error) if isinstance(detail.get("reason"), str)]


def _retry_delay(error: dict[str, Any]) -> str | None:
    """The seconds in a ``RetryInfo``, rounded up."""
    for detail in _details(error):
        match = _DELAY.fullmatch(str(detail.get("retryDelay", "")))
        if match:
            return str(math.ceil(float(match[1])))
    return None


# --- encode ----------------------------------------------------------------------------------------------------------


def encode_error(failure: Failure, request_id: str) -> ErrorBody:
    """The HTTP error response for a client of this dialect."""
    status, _ = _STATUSES[failure.kind]
    headers = {"x-request-id": request_id} if request_id else {}
    return ErrorBody(status, json_wire.encode({"error": error_fields(failure)}), {**failure.headers, **headers})


def error_fields(failure: Failure) -> dict[str, Any]:
    """The ``error`` object of a body and of a stream, with the upstream's ``details`` within one dialect."""
    code, status = _STATUSES[failure.kind]
    message = _REFUSED_CREDENTIAL if failure.kind == "upstream_auth" else failure.message
    fields: dict[str, Any] = {"code": code, "message": message, "status": status}
    if failure.native is not None and failure.native_dialect == FAMILY:
        own_status = failure.native.get("status")
        return {**fields, **({"status": own_status} if isinstance(own_status, str) else {}), **_own_details(failure.native)}
    details = [*_field_violations(failure), *_retry_info(failure)]
    return {**fields, "details": details} if details else fields


def _own_details(native: dict[str, Any]) -> dict[str, Any]:
    return {"details": native["details"]} if isinstance(native.get("details"), list) else {}


def _field_violations(failure: Failure) -> list[dict[str, Any]]:
    if not failure.param:
        return []
    return [{"@type": f"{_TYPE}BadRequest", "fieldViolations": [{"field": failure.param, "description": failure.message}]}]


def _retry_info(failure: Failure) -> list[dict[str, Any]]:
    """The delay that clients such as Gemini CLI read, in place of the header."""
    seconds = failure.headers.get("retry-after", "")
    return [{"@type": f"{_TYPE}RetryInfo", "retryDelay": f"{seconds}s"}] if seconds.isdecimal() else []

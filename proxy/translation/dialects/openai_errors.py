"""Error bodies of the OpenAI dialects: ``{"error": {"message", "type", "param", "code"}}`` (docs/wire-formats.md, section 12).

Chat Completions and Responses share them. ``error_detail`` reads the shapes of other servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.translation.context_overflow import is_context_overflow
from proxy.translation.dialects.base import ErrorBody, error_object
from proxy.translation.dialects.error_detail import MESSAGE_LIMIT, read_error_detail, read_plain_text, retry_headers
from proxy.translation.errors import Failure, Kind, kind_for
from proxy.translation.refusals import is_page, refusal_of

_CLIENT_FORM: Mapping[str, tuple[int, str, str | None]] = {
    "invalid_request": (400, "invalid_request_error", None),
    "authentication": (401, "invalid_request_error", "invalid_api_key"),
    "billing": (429, "insufficient_quota", "insufficient_quota"),
    "budget": (402, "insufficient_quota", "insufficient_quota"),
    "permission": (403, "permission_error", None),
    "not_found": (404, "invalid_request_error", None),
    "model_not_found": (404, "invalid_request_error", "model_not_found"),
    "method_not_allowed": (405, "invalid_request_error", "method_not_allowed"),
    "conflict": (409, "invalid_request_error", "conflict"),
    "too_large": (413, "invalid_request_error", "request_too_large"),
    "unsupported_encoding": (415, "invalid_request_error", None),
    "context_length": (400, "invalid_request_error", "context_length_exceeded"),
    "rate_limit": (429, "rate_limit_error", "rate_limit_exceeded"),
    "quota": (429, "insufficient_quota", "insufficient_quota"),
    "internal": (500, "server_error", None),
    "upstream_error": (500, "server_error", None),
    "upstream_auth": (502, "server_error", "upstream_error"),
    "bad_gateway": (502, "server_error", None),
    "connect": (502, "server_error", None),
    "network": (502, "server_error", None),
    "overloaded": (503, "server_error", "overloaded"),
    "timeout": (504, "timeout", "timeout"),
}
"""HTTP status, ``type`` and ``code`` that a client gets for each kind of failure; ``None``: the upstream's code is passed on."""

_KIND_OF_CODE: Mapping[str, Kind] = {
    "authentication_error": "upstream_auth",
    "context_length_exceeded": "context_length",
    "insufficient_quota": "quota",
    "invalid_api_key": "upstream_auth",
    "invalid_request_error": "invalid_request",
    "model_not_found": "model_not_found",
    "overloaded": "overloaded",
    "overloaded_error": "overloaded",
    "rate_limit_error": "rate_limit",
    "rate_limit_exceeded": "rate_limit",
    "requests": "rate_limit",
    "service_unavailable": "overloaded",
    "timeout": "timeout",
    "timeout_error": "timeout",
    "tokens": "rate_limit",
    "too_many_requests": "rate_limit",
}
"""The kind that a ``code`` or ``type`` means where there is no HTTP status: in a stream, or in a 200."""

_KIND_OF_BASE_RESP: Mapping[str, Kind] = {
    "1002": "rate_limit",
    "1004": "upstream_auth",
    "1008": "billing",
    "1026": "invalid_request",
    "1027": "invalid_request",
    "1039": "rate_limit",
    "2013": "invalid_request",
    "2049": "upstream_auth",
    "2056": "quota",
}
"""The kind of a ``status_code`` in MiniMax's ``base_resp`` (MiniMax API, error codes)."""

_MAY_BE_OVERFLOW = frozenset({"invalid_request", "too_large", "upstream_error", "bad_gateway"})
_NATIVE_LIMIT = 16_384
"""Bytes of an error body whose fields a client of the same dialect gets."""

UPSTREAM_REFUSED_CREDENTIAL = "upstream authentication failed"
"""Replaces the upstream's own message, which often quotes the credential."""


def decode_error(status: int, headers: Mapping[str, str], body: bytes, *, dialect: str = "") -> Failure:
    """The failure of a non-2xx response; also reads HTML, truncated JSON and an empty body.

    ``dialect``: the upstream's; its clients get all fields of the error object.
    """
    value = error_object(body)
    detail = read_error_detail(value)
    plain_text = read_plain_text(body) if value is None else ""
    message = detail.message or plain_text or f"The upstream answered with status {status} without a message."
    code = _non_numeric(detail.code) or ("insufficient_quota" if detail.type == "insufficient_quota" else "")
    refusal = refusal_of(status, detail.message or plain_text, (detail.code, detail.type), is_page=is_page(body))
    kind, about = refusal or (kind_for(status, message, code or detail.type or None), "")
    passed = retry_headers(headers)
    if kind == "upstream_auth":
        return Failure(kind=kind, message=UPSTREAM_REFUSED_CREDENTIAL, status=status, headers=passed, about=about)
    error = value.get("error") if isinstance(value, dict) and len(body) <= _NATIVE_LIMIT else None
    return Failure(
        kind=kind,
        message=message[:MESSAGE_LIMIT],
        code=code or None,
        param=detail.param or None,
        status=status,
        headers=passed,
        about=about,
        native=error if isinstance(error, dict) else None,
        native_dialect=dialect,
    )


def _non_numeric(code: str) -> str:
    """The code, or an empty string for a number: some servers repeat the HTTP status there."""
    return "" if code.isdecimal() else code


def failure_from_error(error: Any, *, default: Kind = "bad_gateway") -> Failure:
    """The failure of an error object that came without an HTTP status: in a stream, or in a 200.

    ``default`` is the kind for an error whose ``code`` and ``type`` are unknown.
    """
    detail = read_error_detail(error)
    kind: Kind | None
    if isinstance(error, dict) and isinstance(error.get("base_resp"), dict):
        kind = _KIND_OF_BASE_RESP.get(detail.code, "upstream_error")
    else:
        kind = _KIND_OF_CODE.get(detail.code) or _KIND_OF_CODE.get(detail.type)
    if kind is None and detail.code.isdecimal() and 400 <= int(detail.code[:4]) < 600:
        kind = kind_for(int(detail.code[:4]), detail.message)
    kind = kind or default
    if kind in _MAY_BE_OVERFLOW and any(is_context_overflow(detail.message, name) for name in (detail.code, detail.type)):
        kind = "context_length"
    message = detail.message or "The upstream reported an error without a message."
    if kind == "upstream_auth":
        return Failure(kind=kind, message=UPSTREAM_REFUSED_CREDENTIAL)
    return Failure(kind=kind, message=message[:MESSAGE_LIMIT], code=_non_numeric(detail.code) or None)


def error_fields(failure: Failure, *, dialect: str = "") -> dict[str, Any]:
    """The error object that a client of an OpenAI dialect gets, in bodies and in streams.

    ``dialect``: the client's. An upstream of the same one passes on its ``type`` and the fields that only it knows: Azure's
    ``innererror``, the counts of llama.cpp, OpenRouter's ``metadata``.
    """
    _, type_, code = _CLIENT_FORM[failure.kind]
    message = UPSTREAM_REFUSED_CREDENTIAL if failure.kind == "upstream_auth" else failure.message
    fields: dict[str, Any] = {"message": message, "type": type_, "param": failure.param, "code": code or failure.code}
    if failure.native is None or failure.native_dialect != dialect:
        return fields
    own_type = failure.native.get("type")
    return failure.native | fields | ({"type": own_type} if isinstance(own_type, str) and own_type else {})


def encode_error(failure: Failure, request_id: str, *, dialect: str = "") -> ErrorBody:
    """The error response for a client of an OpenAI dialect, with an ``x-request-id`` header."""
    status, _, _ = _CLIENT_FORM[failure.kind]
    body = msgspec.json.encode({"error": error_fields(failure, dialect=dialect)})
    headers = {"x-request-id": request_id} if request_id else {}
    return ErrorBody(status, body, {**failure.headers, **headers})

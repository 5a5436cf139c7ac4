"""Error bodies of the OpenAI family: ``{"error": {"message", "type", "param", "code"}}``, read tolerantly and written strictly.

Chat Completions and Responses share them (wire formats, section 12). Compatible servers answer with almost anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.translation.dialects.base import ErrorBody, error_object
from proxy.translation.errors import Failure, Kind, kind_for

_SHOWN: Mapping[str, tuple[int, str, str | None]] = {
    "invalid_request": (400, "invalid_request_error", None),
    "authentication": (401, "invalid_request_error", "invalid_api_key"),
    "billing": (429, "insufficient_quota", "insufficient_quota"),
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
"""Status, type and code of each kind of failure; a kind without its own code shows the upstream's."""

_KIND_OF_WORD: Mapping[str, Kind] = {
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
"""What an error says of itself where no status does: inside a stream."""

_KEPT_HEADERS = ("retry-after", "retry-after-ms", "x-should-retry")
_MESSAGE_LIMIT = 4000
UPSTREAM_REFUSED_KEY = "upstream authentication failed"
"""Shown instead of the upstream's own words, which often quote the key."""


class Told(msgspec.Struct, frozen=True):
    """What an error object says, with empty strings for what it does not say."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str = ""


def told(error: Any) -> Told:
    """Read an error in any of the shapes that servers use: a text, an object, a list of them, FastAPI's ``detail``."""
    if isinstance(error, str):
        return Told(error)
    if isinstance(error, list):
        return _told_by_list(error)
    if not isinstance(error, dict):
        return Told()
    inner = error.get("error")
    if isinstance(inner, (dict, list)) or (isinstance(inner, str) and not isinstance(error.get("message"), str)):
        return told(inner)
    for key in ("message", "msg", "detail", "error_message", "title"):
        words = error.get(key)
        if isinstance(words, (list, dict)):
            words = told(words).message
        if isinstance(words, str) and words:
            return Told(words + _provider_words(error), _word(error.get("type")), _word(error.get("code")), _word(error.get("param")))
    return Told("", _word(error.get("type")), _word(error.get("code")), _word(error.get("param")))


def _provider_words(error: dict[str, Any]) -> str:
    """What the provider behind a router said, which OpenRouter hands on as text in ``metadata.raw``."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str):
        return ""
    words = told(error_object(raw.encode("utf-8", "replace"))).message or _plain_words(raw.encode("utf-8", "replace"))
    return f": {words}" if words else ""


def _told_by_list(errors: list[Any]) -> Told:
    all_told = [told(each) for each in errors]
    messages = [each.message for each in all_told if each.message]
    if not messages:
        return Told()
    return msgspec.structs.replace(all_told[0], message="; ".join(messages))


def _word(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def _name(code: str) -> str:
    """A code that is a word; some servers repeat the status there."""
    return "" if code.isdecimal() else code


def decode_error(status: int, headers: Mapping[str, str], body: bytes) -> Failure:
    """The failure in an upstream's non-2xx answer; reads HTML, half a JSON and nothing at all."""
    parsed = error_object(body)
    said = told(parsed)
    message = said.message or ("" if parsed is not None else _plain_words(body)) or f"the upstream answered {status} without saying why"
    code = _name(said.code) or ("insufficient_quota" if said.type == "insufficient_quota" else "")
    kind = kind_for(status, message, code or None)
    kept = {name.lower(): value for name, value in headers.items() if name.lower() in _KEPT_HEADERS}
    if kind == "upstream_auth":
        return Failure(kind=kind, message=UPSTREAM_REFUSED_KEY, status=status, headers=kept)
    return Failure(kind=kind, message=message[:_MESSAGE_LIMIT], code=code or None, param=said.param or None, status=status, headers=kept)


def _plain_words(body: bytes) -> str:
    """A short plain-text body; pages of HTML and broken JSON say nothing to a client."""
    text = body[:_MESSAGE_LIMIT].decode("utf-8", "replace").strip()
    return "" if text == "null" or text[:1] in ("<", "{", "[") or len(text) > 500 else text


def failure_told(error: Any, *, default: Kind = "bad_gateway") -> Failure:
    """The failure in an error object that came without a status: inside a stream or a 200."""
    said = told(error)
    kind = _KIND_OF_WORD.get(said.code) or _KIND_OF_WORD.get(said.type)
    if kind is None and said.code.isdecimal() and 400 <= int(said.code[:4]) < 600:
        kind = kind_for(int(said.code[:4]), said.message)
    if kind is None or kind == "invalid_request":
        kind = "context_length" if kind_for(400, said.message) == "context_length" else kind or default
    message = said.message or "the upstream reported an error without saying what"
    if kind == "upstream_auth":
        return Failure(kind=kind, message=UPSTREAM_REFUSED_KEY)
    return Failure(kind=kind, message=message[:_MESSAGE_LIMIT], code=_name(said.code) or None)


def error_fields(failure: Failure) -> dict[str, str | None]:
    """The error object that a client of the OpenAI family sees, in bodies and in streams."""
    _, kind, code = _SHOWN[failure.kind]
    message = UPSTREAM_REFUSED_KEY if failure.kind == "upstream_auth" else failure.message
    return {"message": message, "type": kind, "param": failure.param, "code": code or failure.code}


def encode_error(failure: Failure, request_id: str) -> ErrorBody:
    """The answer of an endpoint of the OpenAI family, with ``x-request-id``."""
    status, _, _ = _SHOWN[failure.kind]
    body = msgspec.json.encode({"error": error_fields(failure)})
    headers = {"x-request-id": request_id} if request_id else {}
    return ErrorBody(status, body, {**failure.headers, **headers})

"""A tolerant reader of error objects: message, type, code and param in any of the shapes that servers use.

Compatible servers, routers and proxies in front of them answer in shapes of their own (docs/wire-formats.md, section 12):
a string, ``{"error": {...}}``, ``{"error": "..."}``, a list of errors, FastAPI's ``{"detail": [{"msg": ...}]}``, or
OpenRouter's ``metadata.raw`` with the text of the provider behind it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.translation.dialects.base import error_object

MESSAGE_LIMIT = 4000
"""Characters of an upstream's message that a client gets."""

RETRY_HEADERS: Mapping[str, re.Pattern[str]] = {
    "retry-after": re.compile(r"\d{1,9}(\.\d{1,9})?|[A-Z][a-z]{2}, \d{2} [A-Z][a-z]{2} \d{4} \d{2}:\d{2}:\d{2} GMT"),
    "retry-after-ms": re.compile(r"\d{1,12}(\.\d{1,9})?"),
    "x-should-retry": re.compile(r"true|false"),
}
"""Response headers by which clients decide whether and when to try again, and the values that they can read."""
_PLAIN_TEXT_LIMIT = 500
_MESSAGE_FIELDS = ("message", "msg", "detail", "error_message", "title")


def retry_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The readable ones of :data:`RETRY_HEADERS`, in lower case."""
    lower = {name.lower(): value for name, value in headers.items()}
    return {name: lower[name] for name, pattern in RETRY_HEADERS.items() if name in lower and pattern.fullmatch(lower[name])}


class ErrorDetail(msgspec.Struct, frozen=True):
    """The fields of an error object; a field that the object does not have is empty."""

    message: str = ""
    type: str = ""
    code: str = ""
    param: str = ""


def read_error_detail(error: Any) -> ErrorDetail:
    """Read a decoded JSON value as an error."""
    if isinstance(error, str):
        return ErrorDetail(error)
    if isinstance(error, list):
        return _read_list(error)
    if not isinstance(error, dict):
        return ErrorDetail()
    inner = error.get("error")
    if isinstance(inner, (dict, list)) or (isinstance(inner, str) and not isinstance(error.get("message"), str)):
        return read_error_detail(inner)
    base_resp = error.get("base_resp")
    if isinstance(base_resp, dict):  # MiniMax
        return ErrorDetail(_scalar_text(base_resp.get("status_msg")), "", _scalar_text(base_resp.get("status_code")))
    type_, code, param = (_scalar_text(error.get(name)) for name in ("type", "code", "param"))
    for name in _MESSAGE_FIELDS:
        message = error.get(name)
        if isinstance(message, (list, dict)):
            message = read_error_detail(message).message
        if isinstance(message, str) and message:
            return ErrorDetail(message + _provider_message(error), type_, code, param)
    return ErrorDetail("", type_, code, param)


def _read_list(errors: list[Any]) -> ErrorDetail:
    """Several errors as one: type, code and param of the first, all messages joined by ``; ``."""
    details = [read_error_detail(error) for error in errors]
    messages = [detail.message for detail in details if detail.message]
    if not messages:
        return ErrorDetail()
    return msgspec.structs.replace(details[0], message="; ".join(messages))


def _provider_message(error: dict[str, Any]) -> str:
    """``: `` and the error of the provider behind a router, which OpenRouter passes on as text in ``metadata.raw``."""
    metadata = error.get("metadata")
    raw = metadata.get("raw") if isinstance(metadata, dict) else None
    if not isinstance(raw, str):
        return ""
    body = raw.encode("utf-8", "replace")
    message = read_error_detail(error_object(body)).message or read_plain_text(body)
    return f": {message}" if message else ""


def _scalar_text(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value if isinstance(value, str) else ""


def read_plain_text(body: bytes) -> str:
    """A body that is a short plain text; empty for HTML, broken JSON and anything over 500 characters."""
    text = body[:MESSAGE_LIMIT].decode("utf-8", "replace").strip()
    return "" if text == "null" or text[:1] in ("<", "{", "[") or len(text) > _PLAIN_TEXT_LIMIT else text

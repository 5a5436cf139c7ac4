"""What every answer carries whoever gives it: request ids, security headers, CORS, and refusals in the caller's dialect.

The server (413, 408 …), the lean handler and the middleware of the stock handler all take it from here. Header names and
values are bytes, as ASGI has them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import msgspec
from django.conf import settings

from accounts.common.uuid7 import new_id

Header = tuple[bytes, bytes]

SECURITY_HEADERS: tuple[Header, ...] = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-xss-protection", b"0"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=()"),
)
REQUEST_ID = re.compile(rb"[!-~]{1,128}")
PRINTABLE = re.compile(rb"[\x20-\x7e]{0,4096}")

METHODS = b"GET, POST, PUT, DELETE, OPTIONS, PATCH"
REQUEST_HEADERS = b"Accept, Authorization, Content-Type, X-Request-ID, x-api-key, anthropic-version, anthropic-beta"
EXPOSED = (
    b"X-Request-ID, request-id, x-upstream-request-id, retry-after, retry-after-ms, x-should-retry,"
    b" x-pxbin-request-id, x-pxbin-upstream, x-pxbin-model, x-pxbin-attempts, x-pxbin-overhead-ms, x-pxbin-cost"
)
MAX_AGE = b"300"


class Answer(NamedTuple):
    """A whole answer: status, headers without the framing ones, body."""

    status: int
    headers: list[Header]
    body: bytes


Fields = Mapping[bytes, bytes]
"""A request's headers by lower-case name; ``dict(scope["headers"])`` is one."""


def request_id(fields: Fields) -> bytes:
    """The client's ``x-request-id`` when it is one line of visible ASCII, else a new UUID."""
    given = fields.get(b"x-request-id")
    return given if given is not None and REQUEST_ID.fullmatch(given) else new_id().encode()


def is_anthropic(path: str, fields: Fields) -> bool:
    """Whether the caller speaks Anthropic's dialect: by path, or by the header that its clients always send."""
    return "/v1/messages" in path or b"anthropic-version" in fields


def is_bedrock(path: str) -> bool:
    """Whether the caller speaks Bedrock's dialect, also below a path prefix."""
    return path.startswith("/model/") or (path.endswith(INVOKES) and "/model/" in path and not path.startswith("/api/"))


def is_api(path: str) -> bool:
    """Whether programs call this path: they want JSON, also for errors."""
    return path.startswith(("/v1/", "/api/", "/model/")) or path in ("/v1", "/api", "/model") or "/v1/" in path


def common_headers(path: str, fields: Fields, identity: bytes) -> list[Header]:
    """What an answer at ``path`` carries beside its own headers; ``fields`` are the request's."""
    common = [(b"x-request-id", identity), *SECURITY_HEADERS]
    if is_anthropic(path, fields):
        common.append((b"request-id", identity))
    elif is_bedrock(path):
        common.append((b"x-amzn-requestid", identity))
    origin = fields.get(b"origin")
    if origin is not None and is_cross_origin(path):
        common += cors(origin)
    return common


# Cross-origin requests.


def is_cross_origin(path: str) -> bool:
    """Whether pages of other origins may call this path at all: ``/v1`` (also below a path prefix) and ``/api/v1``."""
    return "/v1/" in path


def cors(origin: bytes) -> list[Header]:
    """The headers that let a page of ``origin`` read an answer; none when it may not.

    ``*`` admits every origin but no cookies: with them, any page could act as the admin who looks at it.
    """
    allowed = settings.PXBIN.cors_origins
    if "*" in allowed:
        return [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", EXPOSED)]
    if origin.decode("latin-1") not in allowed:
        return [(b"vary", b"Origin")]
    return [
        (b"access-control-allow-origin", origin),
        (b"access-control-allow-credentials", b"true"),
        (b"access-control-expose-headers", EXPOSED),
        (b"vary", b"Origin"),
    ]


def preflight(path: str, fields: Fields) -> list[Header] | None:
    """The extra headers of the answer to a CORS preflight; None when the request is none.

    Whatever headers a page wants to send are allowed: SDKs bring new ones with each version.
    """
    if not is_cross_origin(path) or b"access-control-request-method" not in fields or b"origin" not in fields:
        return None
    wanted = fields.get(b"access-control-request-headers") or REQUEST_HEADERS
    return [
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", wanted if PRINTABLE.fullmatch(wanted) else REQUEST_HEADERS),
        (b"access-control-max-age", MAX_AGE),
    ]


# Refusals.

ANTHROPIC_TYPES = {404: "not_found_error", 413: "request_too_large", 500: "api_error", 503: "overloaded_error"}
OPENAI_TYPES = {500: "server_error", 503: "server_error"}
OPENAI_CODES = {404: "unknown_url", 405: "method_not_allowed", 503: "overloaded"}
INVOKES = ("/invoke", "/invoke-with-response-stream")
"""How the paths of Bedrock's callers end, also below a path prefix."""
BEDROCK_TYPES = {
    404: "ResourceNotFoundException",
    408: "ModelTimeoutException",
    500: "InternalServerException",
    503: "ServiceUnavailableException",
}
MANAGEMENT_TYPES = {404: "not_found", 500: "server_error", 503: "server_error"}


def refusal(path: str, fields: Fields, *, status: int, message: str, identity: bytes | None = None) -> Answer:
    """An error in the shape that callers of ``path`` expect; ``fields`` are the request's headers."""
    identity = identity or request_id(fields)
    extra: list[Header] = [(b"content-type", b"application/json")]
    if settings.PXBIN.response_headers and not path.startswith("/api"):
        extra.append((b"x-pxbin-request-id", identity))
    if is_bedrock(path):
        kind = BEDROCK_TYPES.get(status, "ValidationException")
        body: object = {"message": message}
        extra.append((b"x-amzn-errortype", kind.encode()))
    elif path == "/api" or path.startswith("/api/"):
        body = {"error": {"type": MANAGEMENT_TYPES.get(status, "invalid_request"), "message": message}}
    elif is_anthropic(path, fields):
        error = {"type": ANTHROPIC_TYPES.get(status, "invalid_request_error"), "message": message}
        body = {"type": "error", "error": error, "request_id": identity.decode()}
    else:
        kind = OPENAI_TYPES.get(status, "invalid_request_error")
        body = {"error": {"message": message, "type": kind, "param": None, "code": OPENAI_CODES.get(status)}}
    return Answer(status, [*extra, *common_headers(path, fields, identity)], msgspec.json.encode(body))

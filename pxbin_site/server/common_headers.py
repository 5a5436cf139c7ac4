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
from proxy.translation.dialects.lookup import PATH_ROOTS, dialect_of
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import Failure, Kind

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


REQUEST_ID_HEADERS = {dialect.name: dialect.client.request_id_header.encode() for dialect in REGISTRY.values()}
"""Each dialect's own name for ``x-request-id``; empty: it has none."""
Fields = Mapping[bytes, bytes]
"""A request's headers by lower-case name; ``dict(scope["headers"])`` is one."""


def request_id(fields: Fields) -> bytes:
    """The client's ``x-request-id`` when it is one line of visible ASCII, else a new UUID."""
    given = fields.get(b"x-request-id")
    return given if given is not None and REQUEST_ID.fullmatch(given) else new_id().encode()


def is_management(path: str) -> bool:
    """Whether the path is the management API's, which has a shape of errors of its own."""
    return path == "/api" or path.startswith("/api/")


def is_api(path: str) -> bool:
    """Whether programs call this path: they want JSON, also for errors."""
    return is_management(path) or f"{path}/".startswith(PATH_ROOTS) or "/v1/" in path


def common_headers(path: str, fields: Fields, identity: bytes) -> list[Header]:
    """What an answer at ``path`` carries beside its own headers; ``fields`` are the request's."""
    common = [(b"x-request-id", identity), *SECURITY_HEADERS]
    own_name = b"" if is_management(path) else REQUEST_ID_HEADERS[dialect_of(path, fields).name]
    if own_name:
        common.append((own_name, identity))
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

KINDS: Mapping[int, Kind] = {
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_encoding",
    500: "internal",
    503: "overloaded",
}
"""What kind of failure a status of the server's own means; others are the client's mistake."""
CODES: Mapping[int, str] = {404: "unknown_url"}
MANAGEMENT_TYPES = {404: "not_found", 500: "server_error", 503: "server_error"}


def refusal(path: str, fields: Fields, *, status: int, message: str, identity: bytes | None = None) -> Answer:
    """An error as the caller's dialect writes it; ``fields`` are the request's headers.

    The status stays ``status``: it is HTTP's word for what the server refuses, and the server may close the connection with it.
    """
    identity = identity or request_id(fields)
    extra: list[Header] = [(b"content-type", b"application/json")]
    if settings.PXBIN.response_headers and not path.startswith("/api"):
        extra.append((b"x-pxbin-request-id", identity))
    common = common_headers(path, fields, identity)
    if is_management(path):
        error = {"type": MANAGEMENT_TYPES.get(status, "invalid_request"), "message": message}
        return Answer(status, [*extra, *common], msgspec.json.encode({"error": error}))
    failure = Failure(kind=KINDS.get(status, "invalid_request"), message=message, code=CODES.get(status))
    shown = dialect_of(path, fields).encode_error(failure, identity.decode("ascii"))
    taken = {name for name, _ in common}
    own = [(name.lower().encode("ascii"), value.encode("latin-1")) for name, value in shown.headers.items()]
    return Answer(status, [*extra, *(pair for pair in own if pair[0] not in taken), *common], shown.body)

"""Headers of every response (request id, security headers, CORS) and error responses in the client's dialect.

Used by the server (413, 408 …), by the ASGI handler and by the middleware of Django's handler. Header names and values are bytes,
as in ASGI.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec
from django.conf import settings

from accounts.common.uuid7 import new_id
from proxy.exchange.error_response import error_response
from proxy.exchange.http_response import Header, JsonResponse
from proxy.translation.dialects.lookup import CLIENT_HEADERS, PATH_ROOTS, REQUEST_ID_HEADERS, dialect_of
from proxy.translation.errors import Failure, Kind

SECURITY_HEADERS: tuple[Header, ...] = (
    # The body may be an upstream's: a browser that shows it gives it an origin of its own and loads nothing for it. The pages of
    # the site have policies of their own (`pxbin_site.middleware`).
    (b"content-security-policy", b"default-src 'none'; sandbox; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"x-xss-protection", b"0"),
    (b"referrer-policy", b"strict-origin-when-cross-origin"),
    (b"permissions-policy", b"camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=()"),
)
NAMES = frozenset((*(name.encode() for name in REQUEST_ID_HEADERS), *(name for name, _ in SECURITY_HEADERS)))
"""The headers of :func:`common_headers` that a view may set itself."""
HSTS: Header = (b"strict-transport-security", b"max-age=31536000")
"""Sent where browsers use https only, as the trusted origins say. A browser ignores it on plain HTTP."""
REQUEST_ID = re.compile(rb"[!-~]{1,128}")
PRINTABLE = re.compile(rb"[\x20-\x7e]{0,4096}")

MANAGEMENT_ROOTS = ("/api/", "/v1/admin/")
VERSION_ROOTS = tuple(root for root in PATH_ROOTS if re.fullmatch(r"/v\d\w*/", root))
"""First segments of client paths that are the version of an API: ``/v1/``, ``/v1beta/``."""

METHODS = b"GET, POST, PUT, DELETE, OPTIONS, PATCH"
REQUEST_HEADERS = ", ".join(("Accept", "Authorization", "Content-Type", "X-Request-ID", *CLIENT_HEADERS)).encode()
EXPOSED = (
    b"X-Request-ID, request-id, x-upstream-request-id, retry-after, retry-after-ms, x-should-retry,"
    b" x-pxbin-request-id, x-pxbin-upstream, x-pxbin-model, x-pxbin-attempts, x-pxbin-overhead-ms, x-pxbin-trace"
)
MAX_AGE = b"300"


Fields = Mapping[bytes, bytes]
"""A request's headers by lower-case name, for example ``dict(scope["headers"])``."""


def request_id(fields: Fields) -> bytes:
    """The client's ``x-request-id`` if it is 1 to 128 characters of visible ASCII, else a new UUID."""
    client_id = fields.get(b"x-request-id")
    return client_id if client_id is not None and REQUEST_ID.fullmatch(client_id) else new_id().encode()


def is_management(path: str) -> bool:
    """Whether the path is one of the management API or of model-proxy's, whose errors have their own shape."""
    return f"{path}/".startswith(MANAGEMENT_ROOTS)


def is_api(path: str) -> bool:
    """Whether programs call this path, so that errors must be JSON."""
    return is_management(path) or f"{path}/".startswith(PATH_ROOTS) or is_cross_origin(path)


def common_headers(path: str, fields: Fields, identity: bytes) -> list[Header]:
    """The headers that every response at ``path`` has besides its own; ``fields``: the request's headers."""
    common = [(b"x-request-id", identity), *SECURITY_HEADERS]
    if settings.SESSION_COOKIE_SECURE:
        common.append(HSTS)
    own_name = b"" if is_management(path) else dialect_of(path, fields).client.request_id_header.encode()
    if own_name:
        common.append((own_name, identity))
    origin = fields.get(b"origin")
    if origin is not None and is_cross_origin(path):
        common += cors(origin)
    return common


# Cross-origin requests.


def is_cross_origin(path: str) -> bool:
    """Whether pages of other origins may call this path: below a version of an API (also below a path prefix), and ``/api/v1``."""
    return any(root in path for root in VERSION_ROOTS)


def cors(origin: bytes) -> list[Header]:
    """The CORS headers of a response to a page of ``origin``; for an origin that is not allowed, only ``vary``.

    ``*`` in the setting allows every origin, but without cookies: with cookies, any page could use an admin's session.
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
    """The extra headers of the response to a CORS preflight; ``None`` if the request is not a preflight.

    All requested headers are allowed, because new versions of SDKs send new ones.
    """
    if not is_cross_origin(path) or b"access-control-request-method" not in fields or b"origin" not in fields:
        return None
    requested = fields.get(b"access-control-request-headers") or REQUEST_HEADERS
    return [
        (b"access-control-allow-methods", METHODS),
        (b"access-control-allow-headers", requested if PRINTABLE.fullmatch(requested) else REQUEST_HEADERS),
        (b"access-control-max-age", MAX_AGE),
    ]


# Error responses.

KINDS: Mapping[int, Kind] = {
    404: "not_found",
    405: "method_not_allowed",
    408: "timeout",
    413: "too_large",
    415: "unsupported_encoding",
    500: "internal",
    503: "overloaded",
    529: "overloaded",
}
"""The kind of failure of a status; other statuses are ``invalid_request``."""
OVERLOADED = 529
"""The status of an overloaded server; dialects that do not have it answer 503."""
CODES: Mapping[int, str] = {404: "unknown_url"}
MANAGEMENT_TYPES = {404: "not_found", 500: "server_error", 503: "server_error"}


def refusal(
    path: str, fields: Fields, *, status: int, message: str, identity: bytes | None = None, retry_after: int | None = None
) -> JsonResponse:
    """An error response in the client's dialect; ``fields``: the request's headers, ``retry_after``: seconds.

    The response has the given ``status``, not the one that the dialect uses for the kind of failure: with 408 or 413 the server
    may close the connection. Only for 529 (overloaded) it has the dialect's own. Its headers are without ``content-length``,
    ``transfer-encoding`` and ``connection``.
    """
    identity = identity or request_id(fields)
    extra: list[Header] = []
    if settings.PXBIN.response_headers and not path.startswith("/api"):
        extra.append((b"x-pxbin-request-id", identity))
    if retry_after is not None:
        extra.append((b"retry-after", b"%d" % retry_after))
    common = common_headers(path, fields, identity)
    if is_management(path):
        error = {"type": MANAGEMENT_TYPES.get(status, "invalid_request"), "message": message}
        return JsonResponse(msgspec.json.encode({"error": error}), status, [*extra, *common])
    failure = Failure(kind=KINDS.get(status, "invalid_request"), message=message, code=CODES.get(status))
    dialect, request_id_text = dialect_of(path, fields), identity.decode("ascii")
    own_status = None if status == OVERLOADED else status
    return error_response(failure, dialect=dialect, request_id=request_id_text, own_headers=[*extra, *common], status=own_status)

"""What can go wrong, told once and shown in every dialect.

A :class:`Failure` is a value: what kind of thing failed, with which words, and what the client may do about it. Dialects
turn it into their own body (``encode_error``) and read an upstream's body into one (``decode_error``); nobody parses messages.
Two exceptions carry it and say who is to blame: :class:`ClientMistake` never reaches an upstream, :class:`UpstreamFailed`
may be tried elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

Kind = Literal[
    "invalid_request",  # 400: the client's body cannot be served
    "authentication",  # 401: the client's own key is missing or wrong
    "billing",  # 402: the account behind the upstream key has no money left
    "permission",  # 403
    "not_found",  # 404: a path or an object
    "model_not_found",  # 404: the model that the client named
    "method_not_allowed",  # 405
    "conflict",  # 409
    "too_large",  # 413: the body
    "unsupported_encoding",  # 415: a body that is compressed
    "context_length",  # 400: the conversation does not fit the model
    "rate_limit",  # 429
    "quota",  # 429: insufficient_quota
    "internal",  # 500: our own fault
    "upstream_error",  # 500: the upstream said 500
    "upstream_auth",  # 502: the upstream refused our key
    "bad_gateway",  # 502: the upstream's answer cannot be read
    "connect",  # 502: no connection to the upstream
    "network",  # 502: the connection broke
    "overloaded",  # 529 or 503
    "timeout",  # 504
]

STATUSES: Mapping[str, int] = {
    "invalid_request": 400,
    "authentication": 401,
    "billing": 402,
    "permission": 403,
    "not_found": 404,
    "model_not_found": 404,
    "method_not_allowed": 405,
    "conflict": 409,
    "too_large": 413,
    "unsupported_encoding": 415,
    "context_length": 400,
    "rate_limit": 429,
    "quota": 429,
    "internal": 500,
    "upstream_error": 500,
    "upstream_auth": 502,
    "bad_gateway": 502,
    "connect": 502,
    "network": 502,
    "overloaded": 503,
    "timeout": 504,
}
"""The HTTP status of each kind; the Anthropic dialect alone says 529 for ``overloaded``."""

KIND_OF_STATUS: Mapping[int, Kind] = {
    400: "invalid_request",
    401: "upstream_auth",
    402: "billing",
    403: "permission",
    404: "model_not_found",
    408: "timeout",
    413: "too_large",
    422: "invalid_request",
    429: "rate_limit",
    500: "upstream_error",
    502: "bad_gateway",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
"""What an upstream's status means for our client (wire formats, section 12.2)."""

CONTEXT_OVERFLOW = (
    "prompt is too long",
    "maximum context length",
    "context_length_exceeded",
    "context window",
    "too many tokens",
    "input is too long",
    "exceeds the context",
)
"""Words by which upstreams say that a conversation does not fit; clients match on the first two."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One failure, free of any dialect.

    ``status`` is the upstream's own status (0 when none answered). ``headers`` are the reply headers that the client may
    act upon (``retry-after``, ``retry-after-ms``, ``x-should-retry``), lower case. ``param`` is the path of the offending
    field in the client's body. ``details`` goes into the error object of the Anthropic dialect.
    """

    kind: Kind
    message: str
    param: str | None = None
    code: str | None = None
    status: int = 0
    headers: dict[str, str] = {}
    details: dict[str, Any] | None = None

    @property
    def http_status(self) -> int:
        """The status that a client sees, unless its dialect says otherwise."""
        return STATUSES[self.kind]


class GatewayError(Exception):
    """Base of what the gateway raises on purpose; ``failure`` says all."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ClientMistake(GatewayError):  # noqa: N818  (it says whose fault it is)
    """The client's request cannot be served as it is; no upstream is called."""

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        kind: Kind = "invalid_request",
        code: str | None = None,
        details: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(Failure(kind=kind, message=message, param=param, code=code, details=details, headers=headers or {}))


class UpstreamFailed(GatewayError):  # noqa: N818  (it says what happened)
    """An upstream refused, broke off or could not be reached.

    ``retryable``: another candidate may be tried. ``answered``: at least one byte of a response had arrived, so the
    upstream may have done (and billed) the work. ``reconnected``: a fresh connection has been tried already.
    """

    def __init__(self, failure: Failure, *, retryable: bool = True, answered: bool = False, reconnected: bool = False) -> None:
        super().__init__(failure)
        self.retryable = retryable
        self.answered = answered
        self.reconnected = reconnected


def kind_for(status: int, message: str = "", code: str | None = None) -> Kind:
    """The kind of an upstream's non-2xx answer, from its status, its words and its error code."""
    lowered = message.lower()
    if status in (400, 413, 422) and (code == "context_length_exceeded" or any(words in lowered for words in CONTEXT_OVERFLOW)):
        return "context_length"
    if code == "insufficient_quota":
        return "quota" if status == 429 else "billing"
    if status in KIND_OF_STATUS:
        return KIND_OF_STATUS[status]
    if status >= 500:
        return "upstream_error"
    return "invalid_request" if status >= 400 else "bad_gateway"

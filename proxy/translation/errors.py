"""Failures of requests, independent of dialects (docs/wire-formats.md, section 12).

A :class:`Failure` is a value: a kind, a message, and what the client needs to react. Dialects encode it as their own error body
(``encode_error``) and decode error bodies of upstreams to it (``decode_error``). Code branches on the kind, never on the message.
Two exceptions carry a failure and say whose fault it is: after a :class:`ClientMistake` no upstream is called, after an
:class:`UpstreamFailed` another target may be tried.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from proxy.translation.context_overflow import is_context_overflow

Kind = Literal[
    "invalid_request",  # 400: the client's body is invalid or not supported
    "authentication",  # 401: the client key is missing or invalid
    "billing",  # 402: the account of the credential has no balance
    "budget",  # 402: a budget of the client's key has no room
    "permission",  # 403
    "not_found",  # 404: a path or an object
    "model_not_found",  # 404: the model that the client named
    "method_not_allowed",  # 405
    "conflict",  # 409
    "too_large",  # 413: the body
    "unsupported_encoding",  # 415: a compressed body
    "context_length",  # 400: the conversation does not fit the model
    "rate_limit",  # 429
    "quota",  # 429: insufficient_quota
    "internal",  # 500: an error in the gateway
    "upstream_error",  # 500: the upstream answered 500
    "upstream_auth",  # 502: the upstream refused the credential
    "bad_gateway",  # 502: the upstream response is invalid
    "connect",  # 502: no connection to the upstream
    "network",  # 502: the connection broke
    "overloaded",  # 529 or 503
    "timeout",  # 504
]

About = Literal["", "credential", "request"]
"""What an upstream's refusal is about; see ``Failure.about``."""

STATUSES: Mapping[str, int] = {
    "invalid_request": 400,
    "authentication": 401,
    "billing": 402,
    "budget": 402,
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
"""The HTTP status of each kind. The Anthropic dialect answers 529 for ``overloaded``; Bedrock has a table of its own."""

KIND_OF_STATUS: Mapping[int, Kind] = {
    400: "invalid_request",
    401: "upstream_auth",
    402: "billing",
    403: "permission",
    404: "model_not_found",
    408: "timeout",
    409: "conflict",
    413: "too_large",
    422: "invalid_request",
    429: "rate_limit",
    500: "upstream_error",
    502: "bad_gateway",
    503: "overloaded",
    504: "timeout",
    529: "overloaded",
}
"""The kind of an upstream's error response by its status (docs/wire-formats.md, section 12.2)."""

_OVERFLOW_STATUSES = frozenset({400, 413, 422})


NO_RETRY = {"x-should-retry": "false"}
"""The header of responses to a wrong client key. Without it Claude Code repeats a request that was answered with 401, silently."""


MAINTENANCE = "maintenance"
"""The code of pxbin's own refusal of a model whose upstreams are all switched off: its status is 503 in every dialect."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """One failure.

    ``status`` is the upstream's HTTP status, 0 if there was no response. ``headers`` are response headers for the client
    (``retry-after``, ``retry-after-ms``, ``x-should-retry``) in lower case. ``param`` is the path of the invalid field
    in the client's body. ``details`` goes into the error object of the Anthropic dialect. ``about``: whether the upstream's words
    and codes are about its credential (or the account behind it) or about this request, which another credential would not
    change; empty if they do not say.
    """

    kind: Kind
    message: str
    param: str | None = None
    code: str | None = None
    status: int = 0
    headers: dict[str, str] = {}
    details: dict[str, Any] | None = None
    about: About = ""
    native: dict[str, Any] | None = None
    """The upstream's whole error object, for clients of ``native_dialect``."""
    native_dialect: str = ""

    @property
    def http_status(self) -> int:
        """The HTTP status for the client, unless its dialect has another one."""
        return STATUSES[self.kind]


class GatewayError(Exception):
    """Base of exceptions that carry a :class:`Failure`."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.message)
        self.failure = failure


class ClientMistake(GatewayError):  # noqa: N818  (the name says whose fault it is)
    """The client's request is invalid; no upstream is called."""

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
        if kind == "authentication":
            headers = NO_RETRY | (headers or {})
        super().__init__(Failure(kind=kind, message=message, param=param, code=code, details=details, headers=headers or {}))


class UpstreamFailed(GatewayError):  # noqa: N818  (the name says what happened)
    """An upstream refused a request, ended its response early or could not be reached.

    ``retryable``: another target may be tried. ``answered``: at least one byte of a response has arrived, so that the upstream may
    have done and billed the work. ``reconnected``: a new connection has been tried already.
    """

    def __init__(self, failure: Failure, *, retryable: bool = True, answered: bool = False, reconnected: bool = False) -> None:
        super().__init__(failure)
        self.retryable = retryable
        self.answered = answered
        self.reconnected = reconnected


def kind_for(status: int, message: str = "", code: str | None = None) -> Kind:
    """The kind of an upstream's response that is not 2xx, by status, message and error code."""
    if (status in _OVERFLOW_STATUSES or status >= 500) and is_context_overflow(message, code):
        return "context_length"
    if code == "insufficient_quota":
        return "quota" if status == 429 else "billing"
    if status in KIND_OF_STATUS:
        return KIND_OF_STATUS[status]
    if status >= 500:
        return "upstream_error"
    return "invalid_request" if status >= 400 else "bad_gateway"

"""Requests whose bodies are not translated; they run through the same steps as others (:mod:`proxy.exchange.exchange`).

``POST /v1/embeddings`` and similar paths are sent to OpenAI-style upstreams with the model's name replaced; responses are
forwarded as they are. Below a path prefix, any other path is sent to the upstreams of plain proxy mode.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Protocol
from urllib.parse import quote

import msgspec

from accounts.keys import Key
from billing.request_log.entry import Meter
from proxy.exchange.exchange import ClientResponse, run
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse, StreamingResponse
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.exchange.passthrough_attempt import PassthroughAttempt, PassthroughRequest
from proxy.exchange.planning import BillingBasis, first_success
from proxy.exchange.recorded_attempts import FirstPiece, RecordedAttempts
from proxy.exchange.request_context import RequestContext
from proxy.translation.dialects.base import Dialect, ErrorBody
from proxy.translation.dialects.client_api import UntranslatedPath
from proxy.translation.dialects.lookup import PASSTHROUGH
from proxy.translation.errors import ClientMistake, Failure
from proxy.translation.json_wire import Envelope
from proxy.translation.untranslated import bodies
from proxy.translation.untranslated.bodies import UntranslatedRequest
from upstreams.catalog.snapshot import ResolvedModel
from upstreams.http import headers
from upstreams.routing.plan import Requirements, Target

_VISIBLE = bytes(range(0x21, 0x7F)).decode()


def at_untranslated_paths(dialect: Dialect) -> Dialect:
    """The dialect of pxbin's errors at its untranslated paths.

    An upstream's status 422 is kept where the dialect would send 400: servers of these APIs use it for invalid fields.
    """

    def encode_error(failure: Failure, request_id: str) -> ErrorBody:
        error = dialect.encode_error(failure, request_id)
        return msgspec.structs.replace(error, status=422) if failure.status == 422 and error.status == 400 else error

    return msgspec.structs.replace(dialect, encode_error=encode_error)


class ForwardedPath(Protocol):
    """A path whose bodies are not translated: how its requests are read and what is sent for them."""

    @property
    def capabilities(self) -> frozenset[str]:
        """Those that a route must have."""
        ...

    @property
    def billing(self) -> BillingBasis:
        """What its requests are billed by."""
        ...

    @property
    def allows_comments(self) -> bool:
        """Whether comments may be added to a stream of events: only where pxbin knows the API."""
        ...

    def read(self, http: HttpRequest) -> UntranslatedRequest:
        """The request's envelope and body; raises :class:`ClientMistake`."""
        ...

    def upstream_request(self, http: HttpRequest, untranslated: UntranslatedRequest) -> PassthroughRequest:
        """The request that is sent to a target."""
        ...


class DeclaredPath(msgspec.Struct, frozen=True):
    """A :class:`ForwardedPath` that a dialect declares."""

    declaration: UntranslatedPath

    @property
    def billing(self) -> BillingBasis:
        """See :class:`ForwardedPath`."""
        return "unknown" if not self.declaration.estimates else "generation" if self.declaration.generates else "input"

    @property
    def capabilities(self) -> frozenset[str]:
        """See :class:`ForwardedPath`."""
        return self.declaration.capabilities

    @property
    def allows_comments(self) -> bool:
        """See :class:`ForwardedPath`."""
        return True

    def read(self, http: HttpRequest) -> UntranslatedRequest:
        """See :class:`ForwardedPath`."""
        if self.declaration.form:
            untranslated = bodies.open_form(http.body, http.headers, file=self.declaration.form)
        else:
            untranslated = bodies.open_json(http.body, default=self.declaration.default_model)
        check_query(http, untranslated.envelope.model)
        return untranslated

    def upstream_request(self, http: HttpRequest, untranslated: UntranslatedRequest) -> PassthroughRequest:
        """The body as it came, with the two headers that describe it."""
        content_type = headers.forwardable_value(http.headers, "content-type") if self.declaration.form else ""
        return PassthroughRequest(
            method="POST",
            path=self.declaration.path + query(http),
            untranslated=untranslated,
            headers=[
                ("content-type", content_type or "application/json"),
                ("accept", headers.forwardable_value(http.headers, "accept") or "*/*"),
            ],
            estimates=self.declaration.estimates,
        )


class PlainPath(msgspec.Struct, frozen=True, kw_only=True):
    """A :class:`ForwardedPath` below a path prefix, for upstreams of plain proxy mode; ``default_model`` is a model of the prefix."""

    path: str
    default_model: str = ""
    billing: BillingBasis = "unknown"

    @property
    def capabilities(self) -> frozenset[str]:
        """See :class:`ForwardedPath`."""
        return frozenset()

    @property
    def allows_comments(self) -> bool:
        """See :class:`ForwardedPath`."""
        return False

    def read(self, http: HttpRequest) -> UntranslatedRequest:
        """See :class:`ForwardedPath`. A path with a client key is a :class:`ClientMistake`: the key cannot be removed from it."""
        if headers.holds_own_key(self.path):
            raise ClientMistake("The path holds a key of this gateway: send it as x-api-key, or as Authorization: Bearer")
        untranslated = bodies.open_any(http.body, http.headers, default=self.default_model)
        check_query(http, untranslated.envelope.model)
        return untranslated

    def upstream_request(self, http: HttpRequest, untranslated: UntranslatedRequest) -> PassthroughRequest:
        """The request as it came, without the headers that identify the client."""
        return PassthroughRequest(
            method=http.method,
            path=self.path + query(http),
            untranslated=untranslated,
            headers=headers.plain_upward(http.headers),
            dialects=frozenset({PASSTHROUGH}),
            plain=True,
        )


async def serve(http: HttpRequest, path: ForwardedPath, *, dialect: Dialect, prefix: str = "") -> ClientResponse:
    """Answer a request of a path whose bodies are not translated; pxbin's own errors are encoded in ``dialect``."""

    async def read_body(http: HttpRequest, _key: Key) -> Passthrough:
        return Passthrough(dialect, path, await in_thread_if_large(len(http.body), path.read, http))

    return await run(http, dialect, read_body, prefix=prefix)


class Passthrough(msgspec.Struct, frozen=True):
    """The request type for bodies that are not translated (a :class:`~proxy.exchange.exchange.CompleteRequest`)."""

    dialect: Dialect
    path: ForwardedPath
    untranslated: UntranslatedRequest

    @property
    def envelope(self) -> Envelope:
        """The top-level fields of the body."""
        return self.untranslated.envelope

    @property
    def billing(self) -> BillingBasis:
        """What the request is billed by."""
        return self.path.billing

    async def restore(self, key: Key) -> Passthrough:  # noqa: ARG002  (stored responses are for translated bodies)
        """Itself."""
        return self

    def requirements(self, context: RequestContext, model: ResolvedModel, meter: Meter) -> Requirements:  # noqa: ARG002
        """The capabilities of the path; the requests of a session stay at one credential."""
        return Requirements(capabilities=self.path.capabilities, session=meter.session_id or None)

    async def respond(self, attempts: RecordedAttempts) -> ClientResponse:
        """The response of the first target that begins one, whole or as a stream; only that target knows which."""
        planned = attempts.planned
        upstream_request = self.path.upstream_request(attempts.http, self.untranslated)

        def new_attempt(target: Target) -> PassthroughAttempt:
            return PassthroughAttempt(planned.context, target, upstream_request)

        attempt, (piece, rest) = await first_success(planned, new_attempt, _first_piece, hedged=False)
        if attempt.is_whole:
            await rest.aclose()
            attempts.record_response(attempt, piece)
            return JsonResponse(piece, status=attempt.call.status or 200, headers=attempts.response_headers(attempt), is_json=False)

        async def first_piece() -> FirstPiece:
            return attempt, (piece, rest)

        response_headers = attempts.response_headers(attempt)
        return StreamingResponse(
            attempts.stream(first_piece),
            status=attempt.call.status or 200,
            media_type=dict(response_headers).get("content-type", "application/octet-stream"),
            headers=[pair for pair in response_headers if pair[0] not in ("content-type", "cache-control")],
            keepalive=self._keepalive(attempt),
        )

    def _keepalive(self, attempt: PassthroughAttempt) -> bytes:
        """A comment is sent between events only, where the client asked for them; never where the API is not known."""
        sends_comments = self.envelope.stream and self.path.allows_comments and attempt.has_events
        return self.dialect.keepalive if sends_comments else b""


async def _first_piece(attempt: PassthroughAttempt) -> tuple[bytes, AsyncGenerator[bytes, None]]:
    pieces = attempt.pieces()
    return await anext(pieces), pieces


def check_query(http: HttpRequest, model: str) -> None:
    """Raise :class:`ClientMistake` if the query, which is forwarded, names another model than ``model``, which is checked."""
    if any(name != model for name in bodies.models_in_pairs(http.query_string.decode("latin-1"))):
        raise ClientMistake("model: the query names another model than the body", param="model")


def query(http: HttpRequest) -> str:
    """The request's query with its question mark, without the parameters that hold a client key; empty if nothing is left."""
    text = http.query_string.decode("latin-1")
    parameters = [pair for pair in text.split("&") if not headers.holds_own_key(pair)]
    return "?" + quote("&".join(parameters), safe=_VISIBLE) if text and parameters else ""


def path_below(http: HttpRequest, prefix: str) -> str:
    """The path below a prefix as the client wrote it, percent-encoding included."""
    raw = http.raw_path.decode("latin-1").partition("?")[0]
    if not raw.startswith(prefix):
        raw = prefix + quote(http.path[len(prefix) :])
    return quote(raw[len(prefix) :] or "/", safe=_VISIBLE)

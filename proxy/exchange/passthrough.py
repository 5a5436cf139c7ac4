"""Requests whose bodies are not translated; they run through the same steps as others (:mod:`proxy.exchange.exchange`).

``POST /v1/embeddings`` and similar paths are sent to OpenAI-style upstreams with the model's name replaced; responses are
forwarded as they are. Below a path prefix, any other path is sent to the upstreams of plain proxy mode.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from urllib.parse import quote

import msgspec

from accounts.keys import Key
from billing.request_log.entry import Meter
from proxy.exchange.attempt_base import RequestContext
from proxy.exchange.exchange import ClientResponse, run
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse, StreamingResponse
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.exchange.passthrough_attempt import PassthroughAttempt, PassthroughRequest
from proxy.exchange.planning import first_success
from proxy.exchange.recorded_attempts import FirstPiece, RecordedAttempts
from proxy.translation.dialects.base import Dialect, ErrorBody
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


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A path whose bodies are not translated.

    ``default_model``: the model of a body that names none. ``form``: the body is a multipart form with a file in the field of
    this name. ``capabilities``: those that a route must have. ``estimates``: see :class:`PassthroughRequest`.
    """

    path: str
    default_model: str = ""
    form: str = ""
    capabilities: frozenset[str] = frozenset()
    estimates: bool = False

    def read(self, http: HttpRequest) -> UntranslatedRequest:
        """The request's envelope and body; raises :class:`ClientMistake`."""
        if self.form:
            asked = bodies.open_form(http.body, http.headers, file=self.form)
        else:
            asked = bodies.open_json(http.body, default=self.default_model)
        check_query(http, asked.envelope.model)
        return asked

    def upstream_request(self, http: HttpRequest, asked: UntranslatedRequest) -> PassthroughRequest:
        """The request that is sent to a target."""
        content_type = headers.said(http.headers, "content-type") if self.form else ""
        up = [("content-type", content_type or "application/json"), ("accept", headers.said(http.headers, "accept") or "*/*")]
        return PassthroughRequest(method="POST", path=self.path + query(http), asked=asked, up=up, estimates=self.estimates)


class PlainPath(Endpoint, frozen=True, kw_only=True):
    """Any path below a path prefix, for upstreams of plain proxy mode; ``default_model`` is a model of the prefix."""

    def read(self, http: HttpRequest) -> UntranslatedRequest:
        """See :class:`Endpoint`. A path that holds a client key is a :class:`ClientMistake`: the key cannot be removed from it."""
        if headers.holds_own_key(self.path):
            raise ClientMistake("The path holds a key of this gateway: send it as x-api-key, or as Authorization: Bearer")
        asked = bodies.open_any(http.body, http.headers, default=self.default_model)
        check_query(http, asked.envelope.model)
        return asked

    def upstream_request(self, http: HttpRequest, asked: UntranslatedRequest) -> PassthroughRequest:
        """The request as it came, without the headers that identify the client."""
        return PassthroughRequest(
            method=http.method,
            path=self.path + query(http),
            asked=asked,
            up=headers.plain_upward(http.headers),
            dialects=frozenset({PASSTHROUGH}),
            plain=True,
        )


async def serve(http: HttpRequest, endpoint: Endpoint, *, dialect: Dialect, prefix: str = "") -> ClientResponse:
    """Answer a request of an endpoint whose bodies are not translated; pxbin's own errors are encoded in ``dialect``."""

    async def read_body(http: HttpRequest, _key: Key) -> Passthrough:
        return Passthrough(dialect, endpoint, await in_thread_if_large(len(http.body), endpoint.read, http))

    return await run(http, dialect, read_body, prefix=prefix)


class Passthrough(msgspec.Struct, frozen=True):
    """The strategy for bodies that are not translated (a :class:`~proxy.exchange.exchange.Strategy`)."""

    dialect: Dialect
    endpoint: Endpoint
    asked: UntranslatedRequest

    @property
    def envelope(self) -> Envelope:
        """The top-level fields of the body."""
        return self.asked.envelope

    async def restore(self, key: Key) -> Passthrough:  # noqa: ARG002  (stored responses are for translated bodies)
        """Itself."""
        return self

    def requirements(self, context: RequestContext, model: ResolvedModel, meter: Meter) -> Requirements:  # noqa: ARG002
        """The capabilities of the endpoint; the requests of a session stay at one credential."""
        return Requirements(capabilities=self.endpoint.capabilities, session=meter.session_id or None)

    async def respond(self, attempts: RecordedAttempts) -> ClientResponse:
        """The response of the first target that begins one, whole or as a stream; only that target knows which."""
        planned = attempts.planned
        upstream_request = self.endpoint.upstream_request(attempts.http, self.asked)

        def new_attempt(target: Target) -> PassthroughAttempt:
            return PassthroughAttempt(planned.context, target, upstream_request)

        attempt, (piece, rest) = await first_success(planned, new_attempt, _first_piece, hedged=False)
        if attempt.is_whole:
            await rest.aclose()
            attempts.record_response(attempt)
            return JsonResponse(piece, status=attempt.status or 200, headers=attempts.response_headers(attempt), is_json=False)

        async def first_piece() -> FirstPiece:
            return attempt, (piece, rest)

        response_headers = attempts.response_headers(attempt)
        return StreamingResponse(
            attempts.stream(first_piece),
            status=attempt.status or 200,
            media_type=dict(response_headers).get("content-type", "application/octet-stream"),
            headers=[pair for pair in response_headers if pair[0] not in ("content-type", "cache-control")],
            keepalive=self._keepalive(attempt),
        )

    def _keepalive(self, attempt: PassthroughAttempt) -> bytes:
        """A comment is sent between events only, where the client asked for them; never where the API is not known."""
        sends_comments = self.envelope.stream and not isinstance(self.endpoint, PlainPath) and attempt.has_events
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

"""Requests whose bodies pass untranslated: admitted, routed, limited and recorded like any other (:mod:`proxy.exchange.exchange`).

``POST /v1/embeddings`` and its likes go to OpenAI-style upstreams, and nothing but the model's name is changed on the way up
and nothing on the way down. Below a path prefix, any other path goes to the upstreams of plain proxy mode.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from urllib.parse import quote

import msgspec

from proxy.exchange.attempt_base import Attempt
from proxy.exchange.client_credentials import as_it_is
from proxy.exchange.exchange import Exchange
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse, StreamingResponse, encoded
from proxy.exchange.passthrough_attempt import EVENTS, PassthroughAttempt, PassthroughRequest, StreamBrokenError
from proxy.translation.dialects.base import Dialect, ErrorBody
from proxy.translation.dialects.lookup import PASSTHROUGH
from proxy.translation.dialects.registry import DEFAULT
from proxy.translation.errors import ClientMistake, Failure, GatewayError
from proxy.translation.json_wire import Envelope
from proxy.translation.untranslated import bodies
from proxy.translation.untranslated.bodies import Asked
from upstreams.catalog.snapshot import ResolvedModel
from upstreams.http import headers
from upstreams.routing.plan import Requirements

KEEPALIVE = b": keep-alive\n\n"
_VISIBLE = bytes(range(0x21, 0x7F)).decode()
_CONTENT = ("content-type", "content-disposition")


def _shown(failure: Failure, request_id: str) -> ErrorBody:
    """An upstream's 422 stays one: what else it refuses of the client's mistakes is 400 or 413 already."""
    told = DEFAULT.encode_error(failure, request_id)
    return msgspec.structs.replace(told, status=422) if failure.status == 422 and told.status == 400 else told


DIALECT: Dialect = msgspec.structs.replace(DEFAULT, encode_error=_shown)
"""How errors look at these paths."""


class Endpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A path whose bodies are not translated. ``default_model``: what is meant where the body names none.

    ``form``: the body is a form, with a file of that name. ``capabilities`` that a route must not lack.
    """

    path: str
    default_model: str = ""
    form: str = ""
    capabilities: frozenset[str] = frozenset()
    estimates: bool = False

    def read(self, http: HttpRequest) -> Asked:
        """What a request asks for; raises :class:`ClientMistake`."""
        body = as_it_is(http.body, http.headers)
        if self.form:
            return bodies.asked_form(body, http.headers, file=self.form)
        return bodies.asked_json(body, default=self.default_model)

    def order(self, http: HttpRequest, asked: Asked) -> PassthroughRequest:
        """What goes up."""
        content_type = headers.said(http.headers, "content-type") if self.form else ""
        up = [("content-type", content_type or "application/json"), ("accept", headers.said(http.headers, "accept") or "*/*")]
        return PassthroughRequest(method="POST", path=self.path + query(http), asked=asked, up=up, estimates=self.estimates)


class PlainPath(Endpoint, frozen=True, kw_only=True):
    """Any path below a prefix, for upstreams of the plain proxy mode; ``default_model`` is the group's."""

    def read(self, http: HttpRequest) -> Asked:
        """The model that the body names, else the group's. A path that holds a key of ours is a mistake: it cannot go up without."""
        if headers.holds_own_key(self.path):
            raise ClientMistake("The path holds a key of this gateway: send it as x-api-key, or as Authorization: Bearer")
        return bodies.asked_anything(http.body, http.headers, default=self.default_model)

    def order(self, http: HttpRequest, asked: Asked) -> PassthroughRequest:
        """The request as it came, without what says who asks."""
        return PassthroughRequest(
            method=http.method,
            path=self.path + query(http),
            asked=asked,
            up=headers.plain_upward(http.headers),
            dialects=frozenset({PASSTHROUGH}),
            plain=True,
        )


async def serve(http: HttpRequest, endpoint: Endpoint, *, prefix: str = "", dialect: Dialect = DIALECT) -> JsonResponse | StreamingResponse:
    """Answer one request of an endpoint whose bodies are not translated; our own errors are told in ``dialect``."""
    relay = Relay(http, endpoint, prefix, dialect)
    try:
        await relay.admit(relay.opened)
        return relay.stream()
    except GatewayError as error:
        return relay.refuse(error.failure)
    except BaseException as error:
        # Protects the ledger, as in exchange.serve().
        if (refusal := relay.abandon(error)) is None:
            raise
        return refusal


class Relay(Exchange):
    """One such request on its way."""

    asked: Asked
    out: StreamingResponse

    def __init__(self, http: HttpRequest, endpoint: Endpoint, prefix: str, dialect: Dialect) -> None:
        super().__init__(http, dialect, prefix)
        self.endpoint = endpoint

    def opened(self, _body: bytes) -> Envelope:
        """The envelope of the request."""
        self.asked = self.endpoint.read(self.http)
        return self.asked.envelope

    def needs(self, found: ResolvedModel) -> Requirements:  # noqa: ARG002  (no model needs more of these)
        """Nothing of the body but its kind; turns of one session stay together."""
        return Requirements(capabilities=self.endpoint.capabilities, session=self.record.meter.session_id or None)

    def stream(self) -> StreamingResponse:
        """The answer, whole or as it comes; that is known when an upstream has begun it."""
        keepalive = KEEPALIVE if self.asked.envelope.stream and not isinstance(self.endpoint, PlainPath) else b""
        self.out = StreamingResponse(self.tell(), headers=self.stream_headers, keepalive=keepalive)
        return self.out

    async def tell(self) -> AsyncGenerator[bytes | JsonResponse, None]:
        """The pieces of the answer; a whole one is its only piece."""
        try:
            attempt, (first, pieces) = await self.first_bytes()
            async with aclosing(pieces):
                if attempt.is_whole:
                    yield self.answer(attempt, first)
                    return
                self.open(attempt)
                yield first
                async for piece in pieces:
                    yield piece
        except GatewayError as error:
            yield self.refuse(error.failure)
        except StreamBrokenError:
            raise  # recorded by ended()
        except BaseException as error:
            # Protects the ledger, as in exchange.serve().
            if (refusal := self.abandon(error)) is None:
                raise
            yield self.abort_stream(refusal)

    async def first_bytes(self) -> tuple[PassthroughAttempt, tuple[bytes, AsyncGenerator[bytes, None]]]:
        """The first target that answers, the first bytes of its answer, and the others."""
        order = self.endpoint.order(self.http, self.asked)

        async def begin(attempt: PassthroughAttempt) -> tuple[bytes, AsyncGenerator[bytes, None]]:
            pieces = attempt.pieces(self.ended)
            return await anext(pieces), pieces

        async with self.in_time():
            attempt, begun = await self.planned().one_by_one(lambda target: PassthroughAttempt(self.call, target, order), begin)
        self.begun(attempt)
        return attempt, begun

    def open(self, attempt: PassthroughAttempt) -> None:
        """The client's stream has the upstream's status and type; keep-alives only between events."""
        self.out.status = attempt.status or 200
        self.out.media_type = attempt.received.get("content-type", "application/octet-stream")
        if not self.out.media_type.startswith(EVENTS):
            self.out.keepalive = b""

    def answer(self, attempt: PassthroughAttempt, body: bytes) -> JsonResponse:
        """A whole answer, as the upstream gave it."""
        answer = JsonResponse(body, status=attempt.status or 200)
        answer.headers = encoded(self.reply_headers(attempt))
        return answer

    def stream_headers(self) -> list[tuple[str, str]]:
        """The headers of a stream, but for those that every stream has."""
        last = self.tried[-1] if self.tried else None
        return [pair for pair in self.reply_headers(last) if pair[0] not in ("content-type", "cache-control")]

    def shown_headers(self, attempt: Attempt) -> list[tuple[str, str]]:
        """What the client gets to see of the upstream's headers: with those of the body."""
        if isinstance(self.endpoint, PlainPath):
            return headers.plain_downward(attempt.received)
        content = [(name, attempt.received[name]) for name in _CONTENT if name in attempt.received]
        return [*content, *headers.downward(attempt.received)]

    def refuse(self, failure: Failure) -> JsonResponse:
        """See :class:`Exchange`; of the plain proxy's upstreams the last one's own words, unless they are about our key."""
        refusal = super().refuse(failure)
        last = self.tried[-1] if self.tried else None
        if not isinstance(last, PassthroughAttempt) or last.refusal is None or not last.order.plain or failure.kind == "upstream_auth":
            return refusal
        told = JsonResponse(last.refusal, status=last.status or refusal.status)
        told.headers = encoded([*headers.plain_downward(last.received), *self.reply_headers(last)])
        return told


def query(http: HttpRequest) -> str:
    """The request's query with its question mark, without anything that holds a key of ours; empty when there is none."""
    text = http.query_string.decode("latin-1")
    kept = [pair for pair in text.split("&") if not headers.holds_own_key(pair)]
    return "?" + quote("&".join(kept), safe=_VISIBLE) if text and kept else ""


def path_below(http: HttpRequest, prefix: str) -> str:
    """The path below a prefix as the client wrote it, its escapes included."""
    raw = http.raw_path.decode("latin-1").partition("?")[0]
    if not raw.startswith(prefix):
        raw = prefix + quote(http.path[len(prefix) :])
    return quote(raw[len(prefix) :] or "/", safe=_VISIBLE)

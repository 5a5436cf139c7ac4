"""The life of one request, step by step. Read this module first.

    authenticate   the client key                                                (:mod:`proxy.exchange.admission`)
    read           the body, decoded if it is compressed, as the request type of the path: ``Translated`` below, ``Passthrough``, ``Stored``
    admit          model, permission                                             (:mod:`proxy.exchange.admission`)
    restore        the stored turns that the body refers to                      (:mod:`proxy.exchange.stored_responses`)
    plan           the targets in the order in which they are tried; one alone,
                   if it has the remote object that the body names               (:mod:`proxy.exchange.planning`)
    reserve        requests, tokens, concurrency and budgets of the key          (:mod:`proxy.exchange.reservation`)
    attempt        prepare the body, call the target, read its response          (:mod:`proxy.exchange.attempt`)
                   on ``UpstreamFailed``: update the routing state, next target  (:mod:`proxy.exchange.failover`)
    respond        whole, or event by event, in the client's dialect
    record         one journal line before the last byte is sent                 (:mod:`proxy.exchange.recorded_attempts`)

Every request that is answered with an error or generates a response leaves exactly one journal line, with the outcome
``finished``, ``failed``, ``cancelled`` or ``rejected``, and gives back its rate-limit lease exactly once: all steps run inside
the scope :class:`~proxy.exchange.recorded.RecordedRequest`, and those with targets inside
:class:`~proxy.exchange.recorded_attempts.RecordedAttempts`.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable, Callable
from functools import partial
from typing import Protocol

import msgspec

from accounts.common.gateway_config import config
from accounts.keys import Key
from accounts.limits import limiter
from billing.request_log.entry import Meter
from proxy.exchange import requirements, reservation, token_counting
from proxy.exchange.admission import OpenedRequest, admit, authenticate
from proxy.exchange.attempt import TranslatedAttempt
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import ErrorResponse, JsonResponse, StreamingResponse
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.exchange.planning import BillingBasis, Planned, RestoredBody, first_success, plan
from proxy.exchange.recorded import RecordedRequest
from proxy.exchange.recorded_attempts import RecordedAttempts
from proxy.exchange.request_context import RequestContext
from proxy.exchange.request_encoding import decode_body
from proxy.translation.canonical import Failed
from proxy.translation.dialects.base import Dialect
from proxy.translation.json_wire import Envelope
from upstreams.catalog.snapshot import ResolvedModel
from upstreams.routing.plan import Requirements, Target

ClientResponse = JsonResponse | StreamingResponse


class CompleteRequest(RestoredBody, Protocol):
    """A request whose body is complete, and how requests of its kind are answered."""

    async def respond(self, attempts: RecordedAttempts) -> ClientResponse:
        """The response of the first target that gives one; raises :class:`GatewayError` when none does."""
        ...


class ReadBody(OpenedRequest, Protocol):
    """A request whose body was read, but not what it refers to."""

    async def restore(self, key: Key) -> CompleteRequest:
        """The complete request, with the stored turns of ``key`` that it refers to; raises :class:`GatewayError`."""
        ...


BodyReader = Callable[[HttpRequest, Key], Awaitable[ReadBody]]
"""Reads a request's body for an authenticated key; raises :class:`~proxy.translation.errors.ClientMistake`."""


async def serve(
    http: HttpRequest, dialect: Dialect, *, open_body: Callable[[bytes], Envelope] | None = None, prefix: str = ""
) -> ClientResponse:
    """Answer a request of a client that uses ``dialect``, with translation where the target uses another one.

    ``open_body`` replaces ``dialect.open_request`` where the path has a part of the request. ``prefix``: the path prefix.
    """
    return await run(http, dialect, translated(dialect, open_body or dialect.open_request), prefix=prefix)


async def run(http: HttpRequest, dialect: Dialect, read_body: BodyReader, *, prefix: str = "") -> ClientResponse:
    """Answer a request as the type that ``read_body`` returns; errors are encoded in ``dialect``."""
    with RecordedRequest(http, dialect) as request:
        key = await authenticate(request.record, read_body, prefix)
        await decode_body(http)
        body = await read_body(http, key)
        admitted = await admit(request.record, key, body, prefix)
        complete = await body.restore(key)
        planned = await plan(request.record, admitted, complete)
        if limiter.current().applies_to(key):
            await reservation.reserve(request.record, key, planned, complete.billing)
        with RecordedAttempts(request.record, planned) as attempts:
            planned.require_reachable()
            return await complete.respond(attempts)
        return attempts.error_response
    return request.error_response


async def count(http: HttpRequest, dialect: Dialect, read_body: BodyReader, *, prefix: str = "") -> JsonResponse:
    """Answer with the number of a request's input tokens. Nothing is generated: only an error leaves a journal line."""
    with RecordedRequest(http, dialect) as request:
        key = await authenticate(request.record, read_body, prefix)
        await decode_body(http)
        body = await read_body(http, key)
        admitted = await admit(request.record, key, body, prefix)
        if limiter.current().applies_to(key):
            await reservation.count_request(request.record, key)
        planned = await plan(request.record, admitted, await body.restore(key))
        with RecordedAttempts(request.record, planned) as attempts:
            planned.require_reachable()
            tokens = await token_counting.count(planned.context, planned.failover.targets)
            return JsonResponse(dialect.encode_count(tokens), headers=attempts.response_headers(None))
        return attempts.error_response
    return request.error_response


def translated(dialect: Dialect, open_body: Callable[[bytes], Envelope]) -> Callable[[HttpRequest, Key], Awaitable[Translated]]:
    """The reader of bodies in a dialect that pxbin translates."""

    async def read_body(http: HttpRequest, _key: Key) -> Translated:
        return Translated(dialect, await in_thread_if_large(len(http.body), open_body, http.body))

    return read_body


class Translated(msgspec.Struct, frozen=True):
    """The request type for dialects that pxbin translates: bodies and responses pass through the canonical form where they must."""

    dialect: Dialect
    envelope: Envelope
    billing: BillingBasis = "generation"

    async def restore(self, key: Key) -> Translated:  # noqa: ARG002  (the body refers to nothing)
        """Itself."""
        return self

    def requirements(self, context: RequestContext, model: ResolvedModel, meter: Meter) -> Requirements:
        """What the request demands of a target."""
        return requirements.collect_requirements(context, model, meter=meter)

    async def respond(self, attempts: RecordedAttempts) -> ClientResponse:
        """A stream where the client asked for one, else a whole response."""
        return _streaming_response(attempts) if self.envelope.stream else await _whole_response(attempts)


async def _whole_response(attempts: RecordedAttempts) -> JsonResponse:
    planned = attempts.planned
    attempt, body = await first_success(planned, partial(_attempt, planned), TranslatedAttempt.whole)
    attempts.record_response(attempt, body)
    return JsonResponse(body, headers=attempts.response_headers(attempt))


def _streaming_response(attempts: RecordedAttempts) -> StreamingResponse:
    """Nothing is sent before a target sends content, or until ``PXBIN_HOLD_SECONDS`` have passed."""
    planned = attempts.planned
    dialect, encoding = planned.context.dialect, planned.context.encoding

    def open_early() -> bytes:
        opening = encoding.open_stream(planned.context.size)
        for attempt in planned.failover.tried:
            attempt.continue_opened_stream()
        return opening

    def late_error(response: JsonResponse) -> bytes:
        assert isinstance(response, ErrorResponse)
        return encoding.encode_event(Failed(response.failure))

    return StreamingResponse(
        attempts.stream(partial(first_success, planned, partial(_attempt, planned), _first_piece)),
        media_type=dialect.framing.media_type,
        headers=attempts.response_headers_of_last_attempt,
        keepalive=dialect.keepalive,
        opening=open_early,
        hold_seconds=config().hold_seconds,
        late_error=late_error,
    )


async def _first_piece(attempt: TranslatedAttempt) -> tuple[bytes, AsyncGenerator[bytes, None]]:
    """The bytes up to the first content, and the generator of the rest."""
    pieces = attempt.stream()
    return await anext(pieces), pieces


def _attempt(planned: Planned, target: Target) -> TranslatedAttempt:
    return TranslatedAttempt(planned.context, target)

"""The life of one request, in order. Read this page first.

    admit      who asks (key), what for (envelope, model), may they (models, limits)
    plan       which targets may answer, the best first                       (upstreams.routing.plan)
    attempt    prepare the body, call the target, read its answer             (proxy.exchange.attempt)
               on UpstreamFailed: learn from it, and the next target          (proxy.exchange.failover)
    tell       the answer in the client's dialect, event by event
    record     one line in the journal, before the last byte leaves           (proxy.exchange.record)

This module knows the order and nothing else: no wire, no SQL. Every request ends as one of finished, failed, cancelled and
rejected, and all four are written down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Mapping
from contextlib import aclosing
from types import TracebackType
from typing import Any, TypeVar

import msgspec
from django.conf import settings

from accounts import keys, rate_limits
from accounts.keys import Key
from billing.outcomes import Outcome
from billing.pricing import price_book
from proxy.exchange import admission, debug_headers, requirements, token_counting, tool_call_enforcement
from proxy.exchange.attempt import TranslatedAttempt
from proxy.exchange.attempt_base import Attempt, RequestContext
from proxy.exchange.client_credentials import as_it_is, presented_key
from proxy.exchange.failover import Failover
from proxy.exchange.hedging import race
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse, StreamingResponse
from proxy.exchange.record import Record
from proxy.translation.canonical import Failed
from proxy.translation.dialects.base import Dialect
from proxy.translation.errors import ClientMistake, Failure, GatewayError, UpstreamFailed
from proxy.translation.json_wire import Envelope
from upstreams.catalog import snapshot
from upstreams.http import headers
from upstreams.routing import live_state
from upstreams.routing import plan as routing
from upstreams.routing.plan import Target

T = TypeVar("T")
ClientResponse = JsonResponse | StreamingResponse
INTERNAL = Failure(kind="internal", message="Internal server error")
SHUTTING_DOWN = Failure(kind="overloaded", message="The gateway is stopping", headers={"retry-after": "5"})
"""What the end of a drain cuts; by then another process, or the next one, takes requests."""


async def serve(
    http: HttpRequest, dialect: Dialect, *, opened: Callable[[bytes], Envelope] | None = None, prefix: str = ""
) -> ClientResponse:
    """Answer one request of a client that speaks ``dialect``.

    ``opened`` reads the body where the path says more than it does; ``prefix`` is the group of models below a path prefix.
    """
    return await run(Exchange(http, dialect, prefix), opened or dialect.open_request)


async def run(exchange: Exchange, opened: Callable[[bytes], Envelope]) -> ClientResponse:
    """Lead one request from its admission to its answer."""
    try:
        await exchange.admit(lambda body: opened(as_it_is(body, exchange.http.headers)))
        if exchange.call.envelope.stream:
            return exchange.stream()
        return await exchange.whole()
    except GatewayError as error:
        return exchange.refuse(error.failure)
    except BaseException as error:
        # Protects the ledger: also a cancelled request and a defect of ours leave their row. The handler answers.
        if (refusal := exchange.abandon(error)) is None:
            raise
        return refusal


async def count(exchange: Exchange, opened: Callable[[bytes], Envelope]) -> ClientResponse:
    """Answer a question for the size of a request; like ``run``, but nothing is generated and nothing is billed."""
    try:
        await exchange.admit(lambda body: opened(as_it_is(body, exchange.http.headers)))
        exchange.lease.release()
        number = await token_counting.count(exchange.call, exchange.planned().targets)
    except GatewayError as error:
        return exchange.refuse(error.failure)
    return JsonResponse(exchange.dialect.encode_count(number), headers=exchange.reply_headers(None))


class Exchange:
    """One request on its way; the methods stand in the order in which they are used."""

    call: RequestContext

    def __init__(self, http: HttpRequest, dialect: Dialect, prefix: str) -> None:
        self.http = http
        self.dialect = dialect
        self.prefix = prefix
        self.record = Record(http, dialect.name)
        self.lease = rate_limits.UNLIMITED
        self.attempts: Failover | None = None
        self.deadline: float | None = None
        self.hedge_after: float | None = None
        self.told = False
        self.telling: Attempt | None = None
        self.failure: Failure | None = None
        self.traced = False

    # --- admit and plan ----------------------------------------------------------------------------------------------

    async def admit(self, opened: Callable[[bytes], Envelope]) -> None:
        """Let the request in, or raise :class:`GatewayError`: key, body, model, permission, limits, in this order."""
        try:
            token = presented_key(self.http.headers)
            key = keys.cached_key(token) or await keys.authenticate(token)
        except ClientMistake as refusal:
            key = admission.without_key(self.http, opened, self.prefix, refusal)
        self.record.known_key(key)
        envelope = opened(self.http.body)
        self.record.asked_for(envelope.model, stream=envelope.stream)
        found = snapshot.current().find(envelope.model, self.prefix) or await snapshot.find_after_refresh(envelope.model, self.prefix)
        if found is None or not admission.may_use(key, found):
            raise unknown_model(envelope.model)
        self.lease = rate_limits.check(key)
        meter = self.record.meter
        self.call = RequestContext(
            self.http,
            self.dialect,
            envelope,
            identity=meter.id.replace("-", "")[-24:],
            created=int(meter.arrived),
            seal_key=settings.PXBIN.seal_key,
        )
        self.plan(found, key)

    def plan(self, found: snapshot.ResolvedModel, key: Key) -> None:
        """Choose the targets, the best first."""
        self.call.enforcing = tool_call_enforcement.of(self.http, self.call.envelope, found.model)
        asked = self.needs(found)
        self.traced = requirements.traced(self.http, key)
        if upstream := requirements.chosen(self.http, key):
            asked = msgspec.structs.replace(asked, upstream=upstream)
        if found.model.timeout_seconds:
            self.deadline = asyncio.get_running_loop().time() + found.model.timeout_seconds
        if found.model.hedge_after_ms is not None:
            self.hedge_after = found.model.hedge_after_ms / 1000
        planned = routing.plan(
            found,
            snapshot.current(),
            requirements=asked,
            state=live_state.current(),
            is_allowed=lambda fallback: admission.may_use(key, fallback),
            price_of=price_book.combined_rate,
        )
        self.attempts = Failover(planned, live_state.current(), request_id=self.http.request_id, session=asked.session)
        if upstream:
            requirements.reached(upstream, planned, self.call.envelope.model)

    def needs(self, found: snapshot.ResolvedModel) -> routing.Requirements:
        """What the request asks of its target."""
        return requirements.of(self.call, found, meter=self.record.meter)

    def planned(self) -> Failover:
        """The tries of this request, once it was admitted."""
        assert self.attempts is not None
        return self.attempts

    async def first(self, begin: Callable[[TranslatedAttempt], Coroutine[Any, Any, T]]) -> tuple[TranslatedAttempt, T]:
        """The first attempt that succeeds within the model's time, and its result: one by one, or two at once."""
        attempts = self.planned()
        async with self.in_time():
            if self.hedge_after is None:
                return await attempts.one_by_one(self.attempt, begin)
            return await race(attempts, self.attempt, begin, stagger=self.hedge_after)

    def attempt(self, target: Target) -> TranslatedAttempt:
        """A try of ``target``."""
        return TranslatedAttempt(self.call, target)

    # --- whole answers -------------------------------------------------------------------------------------------------

    async def whole(self) -> JsonResponse:
        """The answer in one piece, from the first target that gives one."""
        attempt, body = await self.first(TranslatedAttempt.whole)
        self.ended(attempt)
        return JsonResponse(body, headers=self.reply_headers(attempt))

    # --- streams ---------------------------------------------------------------------------------------------------------

    def stream(self) -> StreamingResponse:
        """The answer event by event. Nothing is sent before an upstream says something meaningful, or the hold is over."""
        return StreamingResponse(
            self.tell(),
            media_type=self.dialect.framing.media_type,
            headers=lambda: self.reply_headers(self.tried[-1] if self.tried else None),
            keepalive=self.dialect.keepalive,
            opening=self.open_early,
            hold_seconds=settings.PXBIN.hold_seconds,
            late_error=self.late_error,
        )

    async def tell(self) -> AsyncGenerator[bytes | JsonResponse, None]:
        """The bytes of the stream; or, as the first and only thing, a whole answer that says why there is none."""
        try:
            first, pieces = await self.first_piece()
            async with aclosing(pieces):
                yield first
                async for piece in pieces:
                    yield piece
        except GatewayError as error:
            yield self.refuse(error.failure)
        except BaseException as error:
            # Protects the ledger, as in serve().
            if (refusal := self.abandon(error)) is None:
                raise
            yield self.abort_stream(refusal)

    async def first_piece(self) -> tuple[bytes, AsyncGenerator[bytes, None]]:
        """The first meaningful bytes, and the stream that they come from."""
        attempt, begun = await self.first(self.begin_stream)
        self.begun(attempt)
        return begun

    def begun(self, attempt: Attempt) -> None:
        """The client's stream begins with an attempt's first meaningful event."""
        self.told = True
        self.telling = attempt
        self.planned().won(attempt)
        self.planned().began(attempt)

    async def begin_stream(self, attempt: TranslatedAttempt) -> tuple[bytes, AsyncGenerator[bytes, None]]:
        """One attempt's first meaningful bytes, and the stream that they come from."""
        pieces = attempt.stream(self.ended)
        return await anext(pieces), pieces

    def open_early(self) -> bytes:
        """The hold is over: begin the client's stream although no upstream has said anything yet."""
        self.told = True
        opening = self.call.open_early()
        for attempt in self.tried:
            attempt.opened_early()
        return opening

    def late_error(self, refusal: JsonResponse) -> bytes:  # noqa: ARG002  (the failure itself says more than the answer made of it)
        """What ends a stream that was opened early and got no answer."""
        assert self.failure is not None
        return self.call.told(Failed(self.failure))

    def in_time(self) -> _Deadline:
        """The model's time limit: it bounds the wait for a whole answer, or for the first meaningful event."""
        return _Deadline(self.deadline, self.planned())

    # --- the end -----------------------------------------------------------------------------------------------------------

    def ended(self, attempt: Attempt) -> None:
        """An answer is complete, or broke off after its first event: record it, before its last bytes are sent."""
        self.planned().won(attempt)
        if attempt.failure is None:
            self.planned().succeeded(attempt)
            self.write("finished", status=200)
        else:
            self.planned().broke_off(attempt)
            self.write("failed", status=200, failure=attempt.failure)

    def refuse(self, failure: Failure) -> JsonResponse:
        """The client's own dialect's answer to what cannot be served."""
        self.failure = failure
        shown = self.dialect.encode_error(failure, self.http.request_id)
        tried = self.tried
        self.write("failed" if tried else "rejected", status=200 if self.told else shown.status, failure=failure)
        own = self.reply_headers(tried[-1] if tried else None)
        return JsonResponse(shown.body, status=shown.status, headers=[*_without_ids(shown.headers), *own])

    def abandon(self, error: BaseException) -> JsonResponse | None:
        """The client has left, a defect ended the request, or the gateway stops: then the answer that says so."""
        for attempt in self.tried:
            self.planned().left(attempt)
        task = asyncio.current_task()
        if isinstance(error, Exception):
            self.write("failed", status=200 if self.told else 500, failure=INTERNAL)
        elif self.http.gone or task is None or not task.cancelling():
            self.write("cancelled", status=200 if self.told else None)
        else:
            refusal = self.refuse(SHUTTING_DOWN)
            if isinstance(error, asyncio.CancelledError):  # else the client was not reading, and the stream is closed already
                task.uncancel()
                return refusal
        return None

    def abort_stream(self, refusal: JsonResponse) -> JsonResponse | bytes:
        """What a stream says of a failure of the gateway's own."""
        return refusal if self.telling is None else self.telling.break_off(SHUTTING_DOWN)

    def write(self, outcome: Outcome, *, status: int | None, failure: Failure | None = None) -> None:
        """The journal's line, and what the key's limits lent."""
        decision = self.attempts.decision if self.attempts is not None else None
        tokens = self.record.write(outcome, status=status, attempts=self.tried, decision=decision, failure=failure)
        self.lease.release(tokens=tokens)

    @property
    def tried(self) -> list[Attempt]:
        """The attempts that were sent so far."""
        return [] if self.attempts is None else self.attempts.tried

    def reply_headers(self, attempt: Attempt | None) -> list[tuple[str, str]]:
        """What the client gets to see of the upstream's headers, and the gateway's own."""
        shown = self.shown_headers(attempt) if attempt is not None and attempt.failure is None else []
        if settings.PXBIN.response_headers:
            shown += debug_headers.headers(self.tried, request=self.http, model=self.record.meter.model)
        if self.traced:
            shown.append((requirements.TRACE_HEADER, debug_headers.decision(self.tried, self.planned().decision)))
        return shown

    def shown_headers(self, attempt: Attempt) -> list[tuple[str, str]]:
        """What the client gets to see of the upstream's headers."""
        shown = headers.downward(attempt.received)
        told = self.dialect.answer_headers
        if told is None:
            return shown
        given = {name for name, _ in shown}
        usage = None if self.call.envelope.stream else attempt.usage
        return shown + [(name, value) for name, value in told(usage).items() if name not in given]


def _without_ids(shown: Mapping[str, str]) -> list[tuple[str, str]]:
    """An error's headers but for the request's ids, which every answer gets from the handler."""
    return [pair for pair in shown.items() if pair[0].lower() not in ("x-request-id", "request-id", "x-amzn-requestid")]


class _Deadline:
    """A time limit as an async context: its end is a failure of kind ``timeout``. ``None``: no limit, no cost."""

    def __init__(self, when: float | None, attempts: Failover) -> None:
        self._timeout = None if when is None else asyncio.timeout_at(when)
        self._attempts = attempts

    async def __aenter__(self) -> None:
        if self._timeout is not None:
            await self._timeout.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._timeout is None:
            return
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            failure = Failure(kind="timeout", message="No answer within the model's time limit")
            self._attempts.timed_out(failure)
            raise UpstreamFailed(failure, retryable=False) from None


def unknown_model(name: str) -> ClientMistake:
    """The refusal of a model that does not exist or that the key may not use; both look alike."""
    return ClientMistake(f"The model {name!r} does not exist or you do not have access to it", kind="model_not_found", param="model")

"""The life of one request, in order. Read this page first.

    admit      who asks (key), what for (envelope, model), may they (models, limits)
    prepare    the body for one target: patched within one dialect, else decoded, adapted and encoded
    attempt    call the target: an answer, a stream, or UpstreamFailed; then the next target
    tell       the answer in the client's dialect, event by event
    record     one line in the journal, before the last byte leaves

This module knows the order and nothing else: no wire, no SQL. Every request ends as one of finished, failed, cancelled and
rejected, and all four are written down.
"""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing

from django.conf import settings

from accounts import keys, limits
from proxy.accumulate import Accumulator, replay
from proxy.callers import presented_key
from proxy.canonical import Failed, Response
from proxy.dialects import REGISTRY
from proxy.dialects.base import Destination, Dialect, Reply
from proxy.errors import ClientMistake, Failure, GatewayError, UpstreamFailed
from proxy.pipe import Pipe
from proxy.prepare import Prepared, Preparer
from proxy.record import Record
from proxy.requests import HttpRequest
from proxy.responses import EventStream, JsonBytes
from proxy.wire import Envelope
from upstreams import catalog, client, headers, routing
from upstreams.credentials import auth_headers, url_for
from upstreams.routing import Target

logger = logging.getLogger("pxbin.exchange")

LINGER_SECONDS = 0.5
"""How long a finished stream's connection may take to end; after that it is closed instead of being used again."""

Answer = JsonBytes | EventStream
INTERNAL = Failure(kind="internal", message="Internal server error")


async def serve(http: HttpRequest, dialect: Dialect, *, opened: Callable[[bytes], Envelope] | None = None) -> Answer:
    """Answer one request of a client that speaks ``dialect``. ``opened`` reads the body where the path says more than it does."""
    exchange = Exchange(http, dialect)
    try:
        await exchange.admit(opened or dialect.open_request)
        if exchange.envelope.stream:
            return exchange.stream()
        return await exchange.whole()
    except GatewayError as error:
        return exchange.refuse(error.failure)
    except BaseException as error:
        # Protects the ledger: also a cancelled request and a defect of ours leave their row. The handler answers.
        exchange.abandon(error)
        raise


class Exchange:
    """One request on its way; the methods stand in the order in which they are used."""

    envelope: Envelope
    reply: Reply

    def __init__(self, http: HttpRequest, dialect: Dialect) -> None:
        self.http = http
        self.dialect = dialect
        self.record = Record(http, dialect.name)
        self.lease: limits.Lease | None = None
        self.targets: list[Target] = []

    # --- admit -----------------------------------------------------------------------------------------------------

    async def admit(self, opened: Callable[[bytes], Envelope]) -> None:
        """Let the request in, or raise :class:`ClientMistake`: key, body, model, permission, limits, in this order."""
        token = presented_key(self.http.headers)
        key = keys.peek(token) or await keys.authenticate(token)
        self.record.known_key(key)
        self.envelope = opened(self.http.body)
        self.record.asked_for(self.envelope.model, stream=self.envelope.stream)
        found = catalog.current().find(self.envelope.model) or await catalog.find_anew(self.envelope.model)
        if found is None or not keys.may_use(key, self.envelope.model):
            raise unknown_model(self.envelope.model)
        self.lease = limits.check(key)
        self.targets = routing.candidates(found)
        if not self.targets:
            raise GatewayError(Failure(kind="overloaded", message=f"No upstream is available for the model {self.envelope.model!r}"))
        self.preparer = Preparer(self.dialect, self.envelope, settings.PXBIN.seal_key)

    # --- prepare ---------------------------------------------------------------------------------------------------

    def prepare(self, target: Target) -> Prepared:
        """The body for ``target``; raises :class:`ClientMistake` for what it cannot carry."""
        mode = target.quirks.upstream_stream
        destination = Destination(
            model=target.remote_name,
            dialect=target.upstream.dialect,
            upstream=target.upstream.id,
            quirks=target.quirks,
            max_output_tokens=target.model.max_output_tokens,
            stream=self.envelope.stream if mode == "auto" else mode == "always",
        )
        return self.preparer.prepare(REGISTRY[target.upstream.dialect], destination)

    def call(self, target: Target, prepared: Prepared) -> client.Opening:
        """The call of ``target``, ready to be entered."""
        self.record.calls(target)
        return client.open(
            "POST",
            url_for(target.upstream, prepared.path, target.quirks),
            [*headers.upward(self.http.headers, target.upstream.dialect, stream=prepared.stream), *auth_headers(target)],
            prepared.body,
            upstream=target.upstream,
        )

    # --- whole answers ---------------------------------------------------------------------------------------------

    async def whole(self) -> JsonBytes:
        """The answer in one piece, from the first target that gives one."""
        for target, is_last in _marked(self.targets):
            try:
                return await self.attempt_whole(target)
            except UpstreamFailed as error:
                self.record.attempt_failed(error.failure)
                if is_last or not error.retryable:
                    raise
        raise AssertionError("candidates are never empty")

    async def attempt_whole(self, target: Target) -> JsonBytes:
        """One target's answer in the client's dialect; raises :class:`UpstreamFailed`."""
        prepared = self.prepare(target)
        source = REGISTRY[target.upstream.dialect]
        async with self.call(target, prepared) as answer:
            raw = await answer.read()
        self.record.answered(answer.status)
        if answer.status >= 400:
            raise refused(source, answer.status, answer.headers, raw)
        if is_stream(answer.headers):
            response = _accumulated(source, target, raw)
        else:
            response = source.decode_response(raw, target.quirks)
        if prepared.relayed and not is_stream(answer.headers):
            body = raw if target.remote_name == self.envelope.model else self.dialect.patch_response(raw, self.envelope.model)
        else:
            restored = prepared.restorer.response(response) if prepared.restorer else response
            body = self.dialect.encode_response(restored, self.new_reply())
        self.finish(response)
        return JsonBytes(body, headers=[*headers.downward(answer.headers), *self.record.headers()])

    # --- streams ---------------------------------------------------------------------------------------------------

    def stream(self) -> EventStream:
        """The answer event by event. Nothing is sent before an upstream says something meaningful."""
        return EventStream(
            self.tell(), media_type=self.dialect.framing.media_type, headers=self.record.headers, keepalive=self.dialect.keepalive
        )

    async def tell(self) -> AsyncIterator[bytes | JsonBytes]:
        """The bytes of the stream; or, as the first and only thing, a whole answer that says why there is none."""
        try:
            for target, is_last in _marked(self.targets):
                try:
                    async with aclosing(self.attempt_stream(target)) as told:
                        async for piece in told:
                            yield piece
                    return
                except UpstreamFailed as error:
                    self.record.attempt_failed(error.failure)
                    if is_last or not error.retryable:
                        raise
        except GatewayError as error:
            yield self.refuse(error.failure)
        except BaseException as error:
            # Protects the ledger, as in serve(); GeneratorExit and CancelledError mean that the client has left.
            self.abandon(error)
            raise

    async def attempt_stream(self, target: Target) -> AsyncIterator[bytes]:
        """One target's stream in the client's dialect. Raises :class:`UpstreamFailed` only before the first piece."""
        prepared = self.prepare(target)
        source = REGISTRY[target.upstream.dialect]
        async with self.call(target, prepared) as answer:
            self.record.answered(answer.status)
            if answer.status >= 400:
                raise refused(source, answer.status, answer.headers, await answer.read())
            pipe = self.new_pipe(target, prepared)
            self.record.pipe = pipe
            if not is_stream(answer.headers):
                yield self.burst(source, target, prepared, await answer.read())
                return
            held = b""
            async for chunk in self.pieces(pipe, answer):
                held += chunk
                if pipe.outcome == "failed" and not self.record.told:
                    assert pipe.failure is not None
                    raise UpstreamFailed(pipe.failure, answered=True)
                if pipe.outcome is not None:
                    self.finish_stream(pipe)
                if held and (pipe.has_content or pipe.outcome is not None):
                    self.record.tells()
                    yield held
                    held = b""
                if pipe.outcome is not None:
                    break
            await answer.finish(LINGER_SECONDS)

    async def pieces(self, pipe: Pipe, answer: client.Answer) -> AsyncIterator[bytes]:
        """What each read makes visible; a broken connection becomes the error event that ends the stream."""
        try:
            async for chunk in answer.chunks():
                yield pipe.feed(chunk)
        except UpstreamFailed as error:
            yield pipe.fail(error.failure)
        else:
            yield pipe.close()

    def burst(self, source: Dialect, target: Target, prepared: Prepared, raw: bytes) -> bytes:
        """The stream of an upstream that answered in one piece."""
        response = source.decode_response(raw, target.quirks)
        restored = prepared.restorer.response(response) if prepared.restorer else response
        encoder, write = self.dialect.encoder(self.new_reply()), self.dialect.framing.write
        told = b"".join(write(frame) for event in replay(restored) for frame in encoder.feed(event))
        self.record.tells()
        self.finish(response)
        return told

    def new_pipe(self, target: Target, prepared: Prepared) -> Pipe:
        """The machine for one attempt's stream."""
        quirks, reply = target.quirks, self.new_reply()
        if prepared.relayed:
            rename = None if target.remote_name == self.envelope.model else self.envelope.model
            return Pipe.passing_through(self.dialect, quirks=quirks, reply=reply, rename=rename, hide_usage=prepared.hides_usage)
        restorer = prepared.restorer.stream() if prepared.restorer else None
        return Pipe(REGISTRY[target.upstream.dialect], self.dialect, quirks=quirks, reply=reply, restorer=restorer)

    # --- the end ---------------------------------------------------------------------------------------------------

    def new_reply(self) -> Reply:
        """What encoders need to know of this request."""
        return self.record.reply(self.envelope, self.preparer.decoded, seal_key=settings.PXBIN.seal_key)

    def finish(self, response: Response) -> None:
        """A whole answer is complete: record it, before it is sent."""
        self.release(self.record.finished(usage=response.usage, output_chars=_length(response)))

    def finish_stream(self, pipe: Pipe) -> None:
        """A stream is complete or broken: record it, before its last bytes are sent."""
        if pipe.failure is None:
            self.release(self.record.finished(usage=pipe.usage, output_chars=pipe.output_chars))
        else:
            self.release(self.record.failed(pipe.failure, usage=pipe.usage, output_chars=pipe.output_chars))

    def refuse(self, failure: Failure) -> JsonBytes:
        """The client's own dialect's answer to what cannot be served."""
        shown = self.dialect.encode_error(failure, self.http.request_id)
        self.record.refused(failure, status=shown.status)
        self.release()
        return JsonBytes(shown.body, status=shown.status, headers=[*shown.headers.items(), *self.record.headers()])

    def abandon(self, error: BaseException) -> None:
        """The client has left, or a defect ended the request."""
        self.release(self.record.failed(INTERNAL) if isinstance(error, Exception) else self.record.cancelled())

    def release(self, tokens: int = 0) -> None:
        """Give back what the key's limits lent, and say what was used; once."""
        if self.lease is not None:
            self.lease.release(tokens=tokens)
            self.lease = None


def unknown_model(name: str) -> ClientMistake:
    """The refusal of a model that does not exist or that the key may not use; both look alike."""
    return ClientMistake(f"The model {name!r} does not exist or you do not have access to it", kind="model_not_found", param="model")


def refused(source: Dialect, status: int, received: headers.Received, raw: bytes) -> UpstreamFailed:
    """An upstream's own error. A 400, 413 or 422 is the client's mistake and is not tried elsewhere."""
    failure = source.decode_error(status, received, raw)
    return UpstreamFailed(failure, retryable=status not in (400, 413, 422), answered=True)


def is_stream(received: headers.Received) -> bool:
    """Whether an answer's body is a stream of events, whatever was asked for."""
    return received.get("content-type", "").startswith(("text/event-stream", "application/vnd.amazon.eventstream"))


def _accumulated(source: Dialect, target: Target, raw: bytes) -> Response:
    """A whole answer out of a stream that an upstream sent although none was asked for, or because it knows nothing else."""
    reader, decoder, accumulator = source.framing.reader(), source.decoder(target.quirks), Accumulator()
    for frame in (*reader.feed(raw), *reader.close()):
        for event in decoder.feed(frame):
            accumulator.feed(event)
    for event in decoder.close():
        if isinstance(event, Failed):
            raise UpstreamFailed(event.failure, answered=True)
        accumulator.feed(event)
    return accumulator.response()


def _marked(targets: list[Target]) -> list[tuple[Target, bool]]:
    return [(target, target is targets[-1]) for target in targets]


def _length(response: Response) -> int:
    return sum(len(getattr(part, "text", "") or getattr(part, "arguments", "")) for part in response.parts)

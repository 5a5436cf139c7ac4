"""One call of one target: from the body that goes up to the last event that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from time import monotonic, perf_counter_ns
from typing import Any

from django.conf import settings

from proxy.exchange.attempt_base import Attempt, RequestContext
from proxy.exchange.prepare import Edits, Prepared
from proxy.exchange.stream_pipeline import Pipe, holds_events, is_stream
from proxy.translation.accumulate import Accumulator, replay
from proxy.translation.canonical import Request, Response
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import Failure, UpstreamFailed
from proxy.translation.policies.model_policies import NONE
from proxy.translation.policies.stream_transforms import Transform, arranged, pieces_of
from proxy.translation.reasoning_seal import BOUND_ORIGIN, bound_response
from upstreams.http import client, headers
from upstreams.http.urls import url_for
from upstreams.routing.plan import Target

LINGER_SECONDS = 0.5
"""How long a finished stream's connection may take to end; after that it is closed instead of being used again."""


NO_EVENT = Failure(kind="timeout", message="The upstream sent no event in time")


class TranslatedAttempt(Attempt):
    """One call of one target, with the translation there and back."""

    def __init__(self, context: RequestContext, target: Target) -> None:
        super().__init__(context, target)
        self.source = context.dialect if target.upstream.dialect == "passthrough" else REGISTRY[target.upstream.dialect]
        self.dropped: tuple[str, ...] = ()
        self.pipe: Pipe | None = None
        self._held: list[bytes] = []
        self._relayed = False
        self._output_chars = 0

    # --- what goes up --------------------------------------------------------------------------------------------------

    def prepare(self) -> Prepared:
        """The body for the target; raises :class:`~proxy.translation.errors.ClientMistake` for what it cannot carry."""
        prepared = self.context.preparer.prepare(self.source, self._destination(), self._edits())
        self.dropped = prepared.dropped
        self._relayed = prepared.relayed
        return prepared

    def asked(self) -> Request:
        """What the target is asked, with the model's policies, in the canonical form."""
        return self.context.preparer.asked(self.source, self._destination(), self._edits())

    def _destination(self) -> EncodeTarget:
        target, enforcing = self.target, self.context.enforcement
        wanted = self.context.envelope.stream and enforcing is None
        mode = target.quirks.upstream_stream
        return EncodeTarget(
            model=target.remote_name,
            dialect=self.source.name,
            upstream=target.upstream.id,
            quirks=target.quirks,
            max_output_tokens=target.model.max_output_tokens,
            default_max_output_tokens=settings.PXBIN.default_max_output_tokens,
            stream=wanted if mode == "auto" else mode == "always",
        )

    def _edits(self) -> Edits | None:
        policies, enforcing = self.target.model.policies, self.context.enforcement
        if enforcing is None:
            return None if policies is NONE else Edits(policies=policies)
        return Edits(policies=policies, guidance=enforcing.rules.guidance, correction=enforcing.correction, whole=True)

    def can_retry_with_repaired_history(self, failure: Failure) -> bool:
        """See :class:`Attempt`: the target refused tool calls that have no result."""
        words = failure.message.lower()
        speaks_of_calls = failure.status in (400, 422) and ("tool" in words or "function" in words)
        return speaks_of_calls and self._relayed and self.target.quirks.unanswered_calls == "insert" and self.context.preparer.mend()

    def _opening(self, prepared: Prepared) -> client.Opening:
        return self.post(prepared, prepared.path, prepared.body)

    def post(self, prepared: Prepared, path: str, body: bytes) -> client.Opening:
        """Call the target with ``body`` at ``path``."""
        target = self.target
        up = headers.upward(self.context.http.headers, self.source.name, stream=prepared.stream, betas=target.quirks.beta_allow_list)
        if prepared.betas and "anthropic-beta" not in self.context.http.headers:
            up.append(("anthropic-beta", prepared.betas))
        url = url_for(target.upstream, path, target.quirks)
        own = self.credentials(url, body)
        self.started_ns = perf_counter_ns()
        self.opening = client.open("POST", url, [*up, *own], body, upstream=target.upstream)
        return self.opening

    # --- whole answers ---------------------------------------------------------------------------------------------------

    async def whole(self) -> bytes:
        """The body of the client's answer; raises :class:`UpstreamFailed` or :class:`~proxy.translation.errors.ClientMistake`."""
        prepared = self.prepare()
        response, raw = await self._answer(prepared)
        if raw is None or not prepared.relayed or self.context.enforcement is not None:
            return self._encoded(response, prepared)
        self._finished(response)
        return raw if self._same_name else self.context.dialect.patch_response(raw, self.context.envelope.model)

    async def _answer(self, prepared: Prepared) -> tuple[Response, bytes | None]:
        """The whole answer, and its bytes unless they are a stream."""
        async with self._opening(prepared) as answer:
            self.note_status(answer)
            raw = await _body(answer)
        if answer.status >= 400:
            raise self.decode_error(self.source, raw)
        if is_stream(answer.headers) or holds_events(raw):
            return self._accumulated(raw), None
        return self.source.decode_response(raw, self.target.quirks), raw

    def _encoded(self, response: Response, prepared: Prepared) -> bytes:
        restored = self._restored(response, prepared)
        body = self.context.dialect.encode_response(restored, self.context.encode_context())
        self._finished(response)
        return body

    def _restored(self, response: Response, prepared: Prepared) -> Response:
        """The answer in the client's tool names, its reasoning bound to the upstream that wrote it.

        Raises :class:`~proxy.exchange.tool_call_enforcement.ToolCallRejected` where enforcement does not accept it.
        """
        restored = prepared.restorer.response(response) if prepared.restorer else response
        if self.context.enforcement is not None:
            self._note(response)
            restored = self.context.enforcement.accepted(restored)
        return bound_response(restored, self.target.upstream.id) if self.source.family == BOUND_ORIGIN else restored

    def _accumulated(self, raw: bytes) -> Response:
        """A whole answer out of a stream: the upstream knows nothing else, or sent one unasked."""
        reader, decoder, accumulator = self.source.framing.reader(), self.source.decoder(self.target.quirks), Accumulator()
        frames = [*reader.feed(raw), *reader.close()]
        for event in [event for frame in frames for event in decoder.feed(frame)] + decoder.close():
            accumulator.feed(event)
        return accumulator.response()

    # --- streams -----------------------------------------------------------------------------------------------------------

    def stream(self) -> AsyncGenerator[bytes, None]:
        """The client's bytes, from the first content on; ``stream_ended`` is set before the last piece, which may be empty.

        Raises :class:`UpstreamFailed` only before the first piece: afterwards a failure is the event that ends the stream.
        """
        return self._live() if self.context.enforcement is None else self._checked()

    async def _checked(self) -> AsyncGenerator[bytes, None]:
        """The stream of an answer that had to be seen whole before the client may see any of it."""
        assert self.context.enforcement is not None
        prepared = self.prepare()
        response, _ = await self._answer(prepared)
        delay = self.context.enforcement.rules.delay_seconds
        pieces = self._replayed(response, prepared, in_pieces=bool(delay))
        self._finished(response)
        for piece in pieces[:-1]:
            yield piece
            await asyncio.sleep(delay)
        self.stream_ended = True
        yield pieces[-1]

    async def _live(self) -> AsyncGenerator[bytes, None]:
        prepared = self.prepare()
        async with self._opening(prepared) as answer:
            self.note_status(answer)
            if answer.status >= 400:
                raise self.decode_error(self.source, await _body(answer))
            if not is_stream(answer.headers):
                stream = self._burst(await answer.read(), prepared)
                self.stream_ended = True
                yield stream
                return
            pipe = self.pipe = self._new_pipe(prepared)
            held = self._held
            async for piece in self._pieces(pipe, answer):
                if piece:
                    held.append(piece if pipe.failure is None else self.redact_secrets(piece))
                if pipe.outcome is not None:
                    self._settle(pipe)
                    self.stream_ended = True
                if pipe.outcome is not None or (held and pipe.has_content):
                    self.first_token_ns = self.first_token_ns or perf_counter_ns()
                    yield held[0] if len(held) == 1 else b"".join(held)
                    held.clear()
                if pipe.outcome is not None:
                    break
            await answer.finish(LINGER_SECONDS)

    def continue_opened_stream(self) -> None:
        """See :class:`Attempt`; the bytes that were held back are encoded again."""
        if self.pipe is not None and self.outcome is None and not self.pipe.has_content:
            self._held.clear()
            self.pipe.take_over(self.context.new_encoder())

    async def _pieces(self, pipe: Pipe, answer: client.UpstreamResponse) -> AsyncIterator[bytes]:
        """What each read makes visible; a broken connection becomes the error event that ends the stream.

        So do comments without an event between them, for as long as the upstream may take to begin an answer.
        """
        quiet_since: float | None = None
        try:
            async for chunk in answer.chunks():
                yield pipe.feed(chunk)
                if pipe.has_spoken:
                    quiet_since = None
                elif quiet_since is None:
                    quiet_since = monotonic()
                elif monotonic() - quiet_since > self.target.upstream.first_byte_timeout:
                    yield pipe.fail(NO_EVENT)
                    return
        except UpstreamFailed as error:
            yield pipe.fail(error.failure)
        else:
            yield pipe.close()

    def _settle(self, pipe: Pipe) -> None:
        """The stream has ended. One that failed before any content is told as an exception: another target may do better."""
        self.usage = pipe.usage
        if pipe.failure is None:
            self.end("finished")
        elif self.first_token_ns is None and not pipe.has_content:
            raise UpstreamFailed(pipe.failure, answered=True)
        else:
            self.failure = self.redact_failure(pipe.failure)
            self.end("failed")

    def _burst(self, raw: bytes, prepared: Prepared) -> bytes:
        """The stream of an upstream that answered in one piece."""
        response = self._accumulated(raw) if holds_events(raw) else self.source.decode_response(raw, self.target.quirks)
        told = self._replayed(response, prepared, in_pieces=self.target.model.policies.smooth_streaming)
        self._finished(response)
        return b"".join(told)

    def _replayed(self, response: Response, prepared: Prepared, *, in_pieces: bool) -> list[bytes]:
        """A whole answer as a stream; ``in_pieces``: its texts cut small, and the bytes of each event apart."""
        restored = self._restored(response, prepared)
        encoder, write = self.context.new_encoder(), self.context.dialect.framing.write
        events = replay(restored)[1 if self.context.is_open else 0 :]
        if in_pieces:
            events = pieces_of(events)
        told = [b"".join(write(frame) for frame in encoder.feed(event)) for event in events]
        self.first_token_ns = perf_counter_ns()
        return [piece for piece in told if piece] if in_pieces else [b"".join(told)]

    def _new_pipe(self, prepared: Prepared) -> Pipe:
        dialect, quirks, shapes = self.context.dialect, self.target.quirks, self.target.model.policies.shapes_stream
        if prepared.relayed and shapes:
            _ = self.context.preparer.request  # the encoder writes what the client asked for
        reply = self.context.encode_context()
        if prepared.relayed and not shapes:
            rename = None if self._same_name else self.context.envelope.model
            pipe = Pipe.passing_through(dialect, quirks=quirks, reply=reply, rename=rename, hide_usage=prepared.hides_usage)
        else:
            restorer = self._transform(prepared)
            pipe = Pipe(self.source, dialect, quirks=quirks, reply=reply, restorer=restorer, upstream=self.target.upstream.id)
        if self.context.is_open:
            pipe.take_over(self.context.new_encoder())
        return pipe

    def _transform(self, prepared: Prepared) -> Transform | None:
        policies, restorer = self.target.model.policies, prepared.restorer.stream() if prepared.restorer else None
        return arranged(restorer, buffered=policies.buffer_tool_calls, smooth=policies.smooth_streaming)

    # --- the end -------------------------------------------------------------------------------------------------------------

    @property
    def _same_name(self) -> bool:
        return self.target.remote_name == self.context.envelope.model

    @property
    def request_metadata(self) -> dict[str, Any]:
        """See :class:`Attempt`: the host tools that the target does not have."""
        return {"dropped": list(self.dropped)} if self.dropped else {}

    @property
    def output_chars(self) -> int:
        """Characters that the model wrote as far as we saw them."""
        return self.pipe.output_chars if self.pipe is not None else self._output_chars

    def response_headers(self) -> list[tuple[str, str]]:
        """See :class:`Attempt`: also the headers that the client's dialect has for usage."""
        shown = super().response_headers()
        dialect_headers = self.context.dialect.answer_headers
        if dialect_headers is None:
            return shown
        names = {name for name, _ in shown}
        usage = None if self.context.envelope.stream else self.usage
        return shown + [(name, value) for name, value in dialect_headers(usage).items() if name not in names]

    def abort_stream(self, failure: Failure) -> bytes:
        """See :class:`Attempt`."""
        return self.pipe.fail(failure) if self.pipe is not None else super().abort_stream(failure)

    def cancel(self) -> None:
        """See :class:`Attempt`; the usage that a stream has reported so far counts."""
        if self.pipe is not None:
            self.usage = self.pipe.usage
        super().cancel()

    def _finished(self, response: Response) -> None:
        self._note(response)
        self.end("finished")

    def _note(self, response: Response) -> None:
        self.usage = response.usage
        if response.usage is None:  # then it is estimated
            self._output_chars = sum(len(getattr(part, "text", "") or getattr(part, "arguments", "")) for part in response.parts)


async def _body(answer: client.UpstreamResponse) -> bytes:
    """The whole body. Of a refusal the status says enough where the body breaks off."""
    try:
        return await answer.read()
    except UpstreamFailed:
        if answer.status >= 400:
            return b""
        raise

"""One call of one target: from the body that goes up to the last event that comes back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from time import monotonic, perf_counter_ns
from typing import Any

from django.conf import settings

from proxy.exchange.attempt_base import Attempt, RequestContext
from proxy.exchange.prepare import Edits, Prepared
from proxy.exchange.stream_pipeline import Pipe, holds_events, is_stream
from proxy.translation.accumulate import Accumulator, replay
from proxy.translation.canonical import Request, Response
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.lookup import PASSTHROUGH
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import Failure, UpstreamFailed
from proxy.translation.policies.model_policies import NONE
from proxy.translation.policies.stream_transforms import Transform, arranged, pieces_of
from proxy.translation.reasoning_seal import bound_response
from upstreams.http import client, headers
from upstreams.http.urls import url_for
from upstreams.routing.plan import Target

LINGER_SECONDS = 0.5
"""How long a finished stream's connection may take to end; after that it is closed instead of being used again."""


NO_EVENT = Failure(kind="timeout", message="The upstream sent no event in time")


class TranslatedAttempt(Attempt):
    """One call of one target, with the translation there and back."""

    def __init__(self, call: RequestContext, target: Target) -> None:
        super().__init__(call, target)
        self.source = call.dialect if target.upstream.dialect == PASSTHROUGH else REGISTRY[target.upstream.dialect]
        self.dropped: tuple[str, ...] = ()
        self.pipe: Pipe | None = None
        self._held: list[bytes] = []
        self._relayed = False
        self._output_chars = 0

    # --- what goes up --------------------------------------------------------------------------------------------------

    def prepare(self) -> Prepared:
        """The body for the target; raises :class:`~proxy.translation.errors.ClientMistake` for what it cannot carry."""
        prepared = self.call.preparer.prepare(self.source, self._destination(), self._edits())
        self.dropped = prepared.dropped
        self._relayed = prepared.relayed
        return prepared

    def asked(self) -> Request:
        """What the target is asked, with the model's policies, in the canonical form."""
        return self.call.preparer.asked(self.source, self._destination(), self._edits())

    def _destination(self) -> EncodeTarget:
        target, enforcing = self.target, self.call.enforcing
        wanted = self.call.envelope.stream and enforcing is None
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
        policies, enforcing = self.target.model.policies, self.call.enforcing
        if enforcing is None:
            return None if policies is NONE else Edits(policies=policies)
        return Edits(policies=policies, guidance=enforcing.rules.guidance, correction=enforcing.correction, whole=True)

    def can_retry_with_repaired_history(self, failure: Failure) -> bool:
        """See :class:`Attempt`: the target refused tool calls that have no result."""
        words = failure.message.lower()
        speaks_of_calls = failure.status in (400, 422) and ("tool" in words or "function" in words)
        return speaks_of_calls and self._relayed and self.target.quirks.unanswered_calls == "insert" and self.call.preparer.mend()

    def _opening(self, prepared: Prepared) -> client.Opening:
        return self.post(prepared, prepared.path, prepared.body)

    def post(self, prepared: Prepared, path: str, body: bytes) -> client.Opening:
        """Call the target with ``body`` at ``path``."""
        target = self.target
        up = headers.upward(self.call.http.headers, self.source.name, stream=prepared.stream, betas=target.quirks.beta_allow_list)
        if prepared.betas and self.source.upstream.beta_header not in self.call.http.headers:
            up.append((self.source.upstream.beta_header, prepared.betas))
        url = url_for(target.upstream, path, target.quirks)
        own = self.credentials(url, body)
        self.began_ns = perf_counter_ns()
        self.opening = client.open("POST", url, [*up, *own], body, upstream=target.upstream)
        return self.opening

    # --- whole answers ---------------------------------------------------------------------------------------------------

    async def whole(self) -> bytes:
        """The body of the client's answer; raises :class:`UpstreamFailed` or :class:`~proxy.translation.errors.ClientMistake`."""
        prepared = self.prepare()
        response, raw = await self._answer(prepared)
        if raw is None or not prepared.relayed or self.call.enforcing is not None:
            return self._encoded(response, prepared)
        self._finished(response)
        return raw if self._same_name else self.call.dialect.patch_response(raw, self.call.envelope.model)

    async def _answer(self, prepared: Prepared) -> tuple[Response, bytes | None]:
        """The whole answer, and its bytes unless they are a stream."""
        async with self._opening(prepared) as answer:
            self.answered(answer)
            raw = await _body(answer)
        if answer.status >= 400:
            raise self.refused(self.source, raw)
        if is_stream(answer.headers) or holds_events(raw):
            return self._accumulated(raw), None
        return self.source.decode_response(raw, self.target.quirks), raw

    def _encoded(self, response: Response, prepared: Prepared) -> bytes:
        restored = self._restored(response, prepared)
        body = self.call.dialect.encode_response(restored, self.call.reply())
        self._finished(response)
        return body

    def _restored(self, response: Response, prepared: Prepared) -> Response:
        """The answer in the client's tool names, its reasoning bound to the upstream that wrote it.

        Raises :class:`~proxy.exchange.tool_call_enforcement.ToolCallRejected` where enforcement does not accept it.
        """
        restored = prepared.restorer.response(response) if prepared.restorer else response
        if self.call.enforcing is not None:
            self._note(response)
            restored = self.call.enforcing.accepted(restored)
        return bound_response(restored, self.target.upstream.id, self.source.family) if self.source.binds_seals else restored

    def _accumulated(self, raw: bytes) -> Response:
        """A whole answer out of a stream: the upstream knows nothing else, or sent one unasked."""
        reader, decoder, accumulator = self.source.framing.reader(), self.source.decoder(self.target.quirks), Accumulator()
        frames = [*reader.feed(raw), *reader.close()]
        for event in [event for frame in frames for event in decoder.feed(frame)] + decoder.close():
            accumulator.feed(event)
        return accumulator.response()

    # --- streams -----------------------------------------------------------------------------------------------------------

    def stream(self, ended: Callable[[TranslatedAttempt], None]) -> AsyncGenerator[bytes, None]:
        """The client's bytes, from the first meaningful event on; ``ended`` is called before the last piece.

        Raises :class:`UpstreamFailed` only before the first piece: afterwards a failure is the event that ends the stream.
        """
        return self._live(ended) if self.call.enforcing is None else self._checked(ended)

    async def _checked(self, ended: Callable[[TranslatedAttempt], None]) -> AsyncGenerator[bytes, None]:
        """The stream of an answer that had to be seen whole before the client may see any of it."""
        assert self.call.enforcing is not None
        prepared = self.prepare()
        response, _ = await self._answer(prepared)
        delay = self.call.enforcing.rules.delay_seconds
        told = self._replayed(response, prepared, in_pieces=bool(delay))
        self._finished(response)
        for piece in told[:-1]:
            yield piece
            await asyncio.sleep(delay)
        ended(self)
        yield told[-1]

    async def _live(self, ended: Callable[[TranslatedAttempt], None]) -> AsyncGenerator[bytes, None]:
        prepared = self.prepare()
        async with self._opening(prepared) as answer:
            self.answered(answer)
            if answer.status >= 400:
                raise self.refused(self.source, await _body(answer))
            if not is_stream(answer.headers):
                told = self._burst(await answer.read(), prepared)
                ended(self)
                yield told
                return
            pipe = self.pipe = self._new_pipe(prepared)
            held = self._held
            async for piece in self._pieces(pipe, answer):
                if piece:
                    held.append(piece if pipe.failure is None else self.redact_secrets(piece))
                if pipe.outcome is not None:
                    self._settle(pipe)
                    ended(self)
                if held and (pipe.has_content or pipe.outcome is not None):
                    self.first_token_ns = self.first_token_ns or perf_counter_ns()
                    yield held[0] if len(held) == 1 else b"".join(held)
                    held.clear()
                if pipe.outcome is not None:
                    break
            await answer.finish(LINGER_SECONDS)

    def opened_early(self) -> None:
        """The client's stream was opened before this attempt had anything to tell: go on from there."""
        if self.pipe is not None and self.outcome is None and not self.pipe.has_content:
            self._held.clear()
            self.pipe.take_over(self.call.encoder())

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
        encoder, write = self.call.encoder(), self.call.dialect.framing.write
        events = replay(restored)[1 if self.call.is_open else 0 :]
        if in_pieces:
            events = pieces_of(events)
        told = [b"".join(write(frame) for frame in encoder.feed(event)) for event in events]
        self.first_token_ns = perf_counter_ns()
        return [piece for piece in told if piece] if in_pieces else [b"".join(told)]

    def _new_pipe(self, prepared: Prepared) -> Pipe:
        dialect, quirks, shapes = self.call.dialect, self.target.quirks, self.target.model.policies.shapes_stream
        if prepared.relayed and shapes:
            _ = self.call.preparer.request  # the encoder writes what the client asked for
        reply = self.call.reply()
        if prepared.relayed and not shapes:
            rename = None if self._same_name else self.call.envelope.model
            pipe = Pipe.passing_through(dialect, quirks=quirks, reply=reply, rename=rename, hide_usage=prepared.hides_usage)
        else:
            restorer = self._transform(prepared)
            pipe = Pipe(self.source, dialect, quirks=quirks, reply=reply, restorer=restorer, upstream=self.target.upstream.id)
        if self.call.is_open:
            pipe.take_over(self.call.encoder())
        return pipe

    def _transform(self, prepared: Prepared) -> Transform | None:
        policies, restorer = self.target.model.policies, prepared.restorer.stream() if prepared.restorer else None
        return arranged(restorer, buffered=policies.buffer_tool_calls, smooth=policies.smooth_streaming)

    # --- the end -------------------------------------------------------------------------------------------------------------

    @property
    def _same_name(self) -> bool:
        return self.target.remote_name == self.call.envelope.model

    @property
    def notes(self) -> dict[str, Any]:
        """See :class:`Attempt`: the hosted tools that the target does not have."""
        return {"dropped": list(self.dropped)} if self.dropped else {}

    @property
    def output_chars(self) -> int:
        """Characters that the model wrote as far as we saw them."""
        return self.pipe.output_chars if self.pipe is not None else self._output_chars

    def break_off(self, failure: Failure) -> bytes:
        """See :class:`Attempt`."""
        return self.pipe.fail(failure) if self.pipe is not None else super().break_off(failure)

    def cancelled(self) -> None:
        """See :class:`Attempt`; what a stream has told so far is kept."""
        if self.pipe is not None:
            self.usage = self.pipe.usage
        super().cancelled()

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

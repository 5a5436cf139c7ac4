"""One call of a target with translation: from the encoded request to the last event of the response."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from time import monotonic, perf_counter_ns
from typing import Any

from accounts.common.gateway_config import config
from billing.outcomes import Outcome
from proxy.exchange.kept_objects import KeptObjects
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.exchange.prepare import Edits, Prepared, dropped_metadata
from proxy.exchange.request_context import RequestContext
from proxy.exchange.stream_pipeline import StreamPipeline, holds_events, is_stream
from proxy.exchange.upstream_call import Headers, UpstreamCall, read_body
from proxy.translation.accumulate import Accumulator, replay
from proxy.translation.adaptation.dropped_response import DroppedResponse
from proxy.translation.canonical import Failed, Request, Response
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.lookup import PASSTHROUGH
from proxy.translation.dialects.object_api import MadeObject
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.errors import Failure, UpstreamFailed
from proxy.translation.framing.sse import Frame
from proxy.translation.policies.model_policies import NONE
from proxy.translation.policies.stream_transforms import Transform, smooth_events, stream_transform
from proxy.translation.reasoning_seal import address_id, bound_response
from upstreams.http import client, headers
from upstreams.http.urls import url_for
from upstreams.routing.plan import Target

FINISH_SECONDS = 0.5
"""How long a connection may take to end a finished stream; after that it is closed instead of being used again."""
NO_EVENT = Failure(kind="timeout", message="The upstream sent no event in time")


class TranslatedAttempt:
    """One call of a target (an :class:`Attempt`), translated where client and target use different dialects."""

    def __init__(self, context: RequestContext, target: Target) -> None:
        self.context = context
        self.target = target
        self.call = UpstreamCall(target, context.http.headers)
        self.source = context.dialect if target.upstream.dialect == PASSTHROUGH else REGISTRY[target.upstream.dialect]
        self._dropped: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())
        self._dropped_response = DroppedResponse(self.source, context.dialect)
        self.pipeline: StreamPipeline | None = None
        self._held: list[bytes] = []
        self._relayed = False
        self._kept = KeptObjects(context, self.source)
        self._output_chars = 0

    # --- the request -----------------------------------------------------------------------------------------------------

    async def prepare(self) -> Prepared:
        """The body for the target; raises :class:`~proxy.translation.errors.ClientMistake` for what its dialect cannot express."""
        prepared = await in_thread_if_large(self.context.size, self._prepared)
        self._dropped = (prepared.dropped, prepared.details)
        self._relayed = prepared.relayed
        return prepared

    def _prepared(self) -> Prepared:
        preparer = self.context.preparer
        prepared = preparer.prepare(self.source, self._encode_target(), self._edits())
        if prepared.stream:
            _ = preparer.input_estimate  # the encoder reads it on the event loop
        return prepared

    def edited_request(self) -> Request:
        """The canonical request with the changes of the model's policies."""
        return self.context.preparer.edited_request(self.source, self._encode_target(), self._edits())

    def _encode_target(self) -> EncodeTarget:
        target = self.target
        is_streamed = self.context.envelope.stream and self.context.enforcement is None
        mode = target.quirks.upstream_stream
        return EncodeTarget(
            model=target.remote_name,
            dialect=self.source.name,
            upstream=self._seal_owner,
            quirks=target.quirks,
            max_output_tokens=target.model.max_output_tokens,
            default_max_output_tokens=config().default_max_output_tokens,
            stream=is_streamed if mode == "auto" else mode == "always",
            follows_objects=config().remote_object_days > 0,
            version=headers.api_version(self.context.http.headers, self.source.name),
        )

    def _edits(self) -> Edits | None:
        policies, enforcement = self.target.model.policies, self.context.enforcement
        if enforcement is None:
            return None if policies is NONE else Edits(policies=policies)
        return Edits(policies=policies, guidance=enforcement.rules.guidance, correction=enforcement.correction, whole=True)

    def can_retry_with_repaired_history(self, failure: Failure) -> bool:
        """See :class:`Attempt`: the target refused a forwarded history with tool calls that have no result."""
        return self._may_concern_history(failure) and self.context.preparer.repair_history()

    def _may_concern_history(self, failure: Failure) -> bool:
        message = failure.message.lower()
        is_about_calls = failure.status in (400, 422) and ("tool" in message or "function" in message)
        return is_about_calls and self._relayed and self.target.quirks.unanswered_calls == "insert"

    async def _refusal(self, raw: bytes) -> UpstreamFailed:
        """The exception for an error response; a history that may be repaired has been searched for calls without a result."""
        error = self.call.decode_error(self.source, raw)
        if self._may_concern_history(error.failure):
            await in_thread_if_large(self.context.size, self.context.preparer.find_unanswered_calls)
        return error

    def _open(self, prepared: Prepared) -> client.Opening:
        return self.post(prepared, prepared.path, prepared.body)

    def post(self, prepared: Prepared, path: str, body: bytes) -> client.Opening:
        """Call the target with ``body`` at ``path``."""
        target = self.target
        request_headers = headers.upward(
            self.context.http.headers, self.source.name, stream=prepared.stream, betas=target.quirks.beta_allow_list
        )
        if prepared.betas and self.source.upstream.beta_header not in self.context.http.headers:
            request_headers.append((self.source.upstream.beta_header, prepared.betas))
        url = url_for(target.upstream, path, target.quirks)
        request_headers += self.call.credentials(url, body)
        self.call.started_ns = perf_counter_ns()
        open_call = client.open if self.context.capture is None else self.call.open_captured
        self.call.opening = open_call("POST", url, request_headers, body, upstream=target.upstream)
        return self.call.opening

    # --- whole responses -------------------------------------------------------------------------------------------------

    async def whole(self) -> bytes:
        """The body of the client's response; raises :class:`UpstreamFailed` or :class:`~proxy.translation.errors.ClientMistake`."""
        prepared = await self.prepare()
        response, raw = await self._whole_response(prepared)
        if isinstance(raw, list) and prepared.relayed and self.context.enforcement is None:
            await self._decode_request()
            body = self.context.encoding.whole_of_choices(raw, self.target.quirks)
            if body is not None:
                self._finished(response)
                return body
        if isinstance(raw, list) or not prepared.relayed or self.context.enforcement is not None:
            return self._encoded(response, prepared)
        self._kept.is_forwarded = True
        self._finished(response)
        if self.context.dialect.mend_response is not None:
            raw = self.context.dialect.mend_response(raw, response, self.context.encoding.encode_context())
        return raw if self._same_name else self.context.dialect.patch_response(raw, self.context.envelope.model)

    async def _decode_request(self) -> None:
        """Decode a request whose body was forwarded: a response in the other form than asked for is encoded for the client's request."""
        await in_thread_if_large(self.context.size, self.context.preparer.try_decode)

    async def _whole_response(self, prepared: Prepared) -> tuple[Response, bytes | list[Frame]]:
        """The decoded response, and its body, or its frames if that is a stream of events."""
        async with self._open(prepared) as upstream_response:
            self.call.note_status(upstream_response)
            self.call.require_content(upstream_response)
            raw = await read_body(upstream_response)
        if upstream_response.status >= 400:
            raise await self._refusal(raw)
        if is_stream(upstream_response.headers) or holds_events(raw):
            frames = self._frames(raw)
            return self._accumulated(frames), frames
        return self.source.decode_response(raw, self.target.quirks), raw

    def _encoded(self, response: Response, prepared: Prepared) -> bytes:
        restored = self._restored(response, prepared)
        body = self.context.dialect.encode_response(restored, self.context.encoding.encode_context())
        self._finished(response)
        return body

    def _restored(self, response: Response, prepared: Prepared) -> Response:
        """The response with the client's tool names, and its reasoning seals bound to the upstream.

        Raises :class:`~proxy.exchange.tool_call_enforcement.ToolCallRejected` if enforcement does not accept it.
        """
        self._dropped_response.note(response)
        restored = prepared.restorer.response(response) if prepared.restorer else response
        if self.context.enforcement is not None:
            self._note_usage(response)
            restored = self.context.enforcement.accept(restored)
        return bound_response(restored, self._seal_owner, self.source.family) if self.source.binds_seals else restored

    def _frames(self, raw: bytes) -> list[Frame]:
        reader = self.source.framing.reader()
        return [*reader.feed(raw), *reader.close()]

    def _accumulated(self, frames: list[Frame]) -> Response:
        """The whole response of a stream, for an upstream that only streams or streams although it was not asked to."""
        decoder, accumulator = self.source.decoder(self.target.quirks), Accumulator()
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
        """The stream of a response that enforcement must accept as a whole before the client gets any of it."""
        assert self.context.enforcement is not None
        prepared = await self.prepare()
        response, _ = await self._whole_response(prepared)
        delay = self.context.enforcement.rules.delay_seconds
        pieces = self._replayed(response, prepared, in_pieces=bool(delay))
        self._finished(response)
        for piece in pieces[:-1]:
            yield piece
            await asyncio.sleep(delay)
        self.call.stream_ended = True
        yield pieces[-1]

    async def _live(self) -> AsyncGenerator[bytes, None]:
        prepared = await self.prepare()
        async with self._open(prepared) as upstream_response:
            self.call.note_status(upstream_response)
            if upstream_response.status >= 400:
                raise await self._refusal(await read_body(upstream_response))
            self.call.require_content(upstream_response)
            if not is_stream(upstream_response.headers):
                raw = await upstream_response.read()
                if prepared.relayed:
                    await self._decode_request()
                stream = self._stream_of_whole(raw, prepared)
                self.call.stream_ended = True
                yield stream
                return
            pipeline = self.pipeline = self._new_pipeline(prepared)
            held = self._held
            async for piece in self._pieces(pipeline, upstream_response):
                if piece:
                    held.append(piece if pipeline.failure is None else self.call.redact_secrets(piece))
                if pipeline.outcome is not None:
                    self._settle(pipeline)
                    self.call.stream_ended = True
                if pipeline.outcome is not None or (held and pipeline.has_content):
                    self.call.first_token_ns = self.call.first_token_ns or perf_counter_ns()
                    yield held[0] if len(held) == 1 else b"".join(held)
                    held.clear()
                if pipeline.outcome is not None:
                    break
            await upstream_response.finish(FINISH_SECONDS)

    def continue_opened_stream(self) -> None:
        """See :class:`Attempt`; the bytes that were held back are encoded again."""
        if self.pipeline is not None and self.call.outcome is None and not self.pipeline.has_content:
            self._held.clear()
            self.pipeline.take_over(self.context.encoding.new_encoder())

    async def _pieces(self, pipeline: StreamPipeline, upstream_response: client.UpstreamResponse) -> AsyncIterator[bytes]:
        """The client's bytes for each read of the upstream; a broken connection becomes the error event that ends the stream.

        So does a stream that sends only comments for ``first_byte_timeout`` seconds.
        """
        idle_since: float | None = None
        try:
            async for chunk in upstream_response.chunks():
                yield pipeline.feed(chunk)
                if pipeline.has_frames:
                    idle_since = None
                elif idle_since is None:
                    idle_since = monotonic()
                elif monotonic() - idle_since > self.target.upstream.first_byte_timeout:
                    yield pipeline.fail(NO_EVENT)
                    return
        except UpstreamFailed as error:
            yield pipeline.fail(error.failure)
        else:
            yield pipeline.close()

    def _settle(self, pipeline: StreamPipeline) -> None:
        """Note the result of a stream that has ended; raises :class:`UpstreamFailed` if it failed before any content came."""
        self.call.usage = pipeline.usage
        if pipeline.failure is None:
            self.call.end(Outcome.FINISHED)
        elif self.call.first_token_ns is None and not pipeline.has_content:
            raise UpstreamFailed(pipeline.failure, answered=True)
        else:
            self.call.failure = self.call.redact_failure(pipeline.failure)
            self.call.end(Outcome.FAILED)

    def _stream_of_whole(self, raw: bytes, prepared: Prepared) -> bytes:
        """The client's whole stream for an upstream that did not stream."""
        response = self._accumulated(self._frames(raw)) if holds_events(raw) else self.source.decode_response(raw, self.target.quirks)
        if prepared.relayed and (stream := self.context.encoding.stream_of_choices(raw, self.target.quirks)):
            self.call.first_token_ns = perf_counter_ns()
            self._finished(response)
            return stream
        pieces = self._replayed(response, prepared, in_pieces=self.target.model.policies.smooth_streaming)
        self._finished(response)
        return b"".join(pieces)

    def _replayed(self, response: Response, prepared: Prepared, *, in_pieces: bool) -> list[bytes]:
        """A whole response as a stream; ``in_pieces``: with texts cut into small events, and an item for each event."""
        restored = self._restored(response, prepared)
        encoder, write = self.context.encoding.new_encoder(), self.context.dialect.framing.write
        events = replay(restored)[1 if self.context.encoding.is_open else 0 :]
        if in_pieces:
            events = smooth_events(events)
        pieces = [b"".join(write(frame) for frame in encoder.feed(event)) for event in events]
        self.call.first_token_ns = perf_counter_ns()
        return [piece for piece in pieces if piece] if in_pieces else [b"".join(pieces)]

    def _new_pipeline(self, prepared: Prepared) -> StreamPipeline:
        dialect, quirks, shapes = self.context.dialect, self.target.quirks, self.target.model.policies.shapes_stream
        if prepared.relayed and shapes:
            # The encoder needs the decoded request. What no translation carries (several choices, audio) is forwarded as it is.
            shapes = all(demand.carried_by for demand in self.context.preparer.request.demands)
        context = self.context.encoding.encode_context()
        if prepared.relayed and not shapes:
            rename = None if self._same_name else self.context.envelope.model
            pipeline = StreamPipeline.passing_through(
                dialect, quirks=quirks, context=context, rename=rename, hide_usage=prepared.hides_usage
            )
        else:
            restorer = self._transform(prepared)
            pipeline = StreamPipeline(self.source, dialect, quirks=quirks, context=context, restorer=restorer, upstream=self._seal_owner)
        if self.context.encoding.is_open:
            pipeline.take_over(self.context.encoding.new_encoder())
        return pipeline

    def _transform(self, prepared: Prepared) -> Transform | None:
        policies, restorer = self.target.model.policies, prepared.restorer.stream() if prepared.restorer else None
        return stream_transform(restorer, buffered=policies.buffer_tool_calls, smooth=policies.smooth_streaming)

    # --- the result ----------------------------------------------------------------------------------------------------------

    @property
    def _seal_owner(self) -> str:
        """Who can open the seals of this response (``Dialect.binds_seals``)."""
        upstream = self.target.upstream
        return address_id(upstream.base_url) if self.source.binds_seals == "address" else upstream.id

    @property
    def _same_name(self) -> bool:
        return self.target.remote_name == self.context.envelope.model

    @property
    def request_metadata(self) -> dict[str, Any]:
        """See :class:`Attempt`: what the target does not get of the request, and the client of the response."""
        lost = self._dropped_response if self.pipeline is None else self.pipeline.dropped
        return dropped_metadata(*self._dropped, lost)

    @property
    def output_chars(self) -> int:
        """See :class:`Attempt`."""
        return self.pipeline.output_chars if self.pipeline is not None else self._output_chars

    @property
    def response_id(self) -> str:
        """See :class:`Attempt`."""
        return self._kept.client_id(self.pipeline)

    def made_objects(self) -> list[MadeObject]:
        """See :class:`Attempt`."""
        return self._kept.made_objects(self.pipeline)

    def response_headers(self) -> Headers:
        """See :class:`Attempt`: also the headers that the client's dialect has for usage."""
        shown = headers.downward(self.call.received)
        dialect_headers = self.context.dialect.answer_headers
        if dialect_headers is None:
            return shown
        names = {name for name, _ in shown}
        usage = None if self.context.envelope.stream else self.call.usage
        return shown + [(name, value) for name, value in dialect_headers(usage).items() if name not in names]

    def abort_stream(self, failure: Failure) -> bytes:
        """See :class:`Attempt`."""
        if self.pipeline is not None:
            return self.pipeline.fail(failure)
        return self.context.encoding.encode_event(Failed(failure))

    def upstream_error_response(self, failure: Failure, own_headers: Headers) -> None:  # noqa: ARG002
        """See :class:`Attempt`: an upstream's failure is always encoded in the client's dialect."""
        return

    def cancel(self) -> None:
        """See :class:`Attempt`; the usage that a stream has reported so far counts."""
        if self.pipeline is not None:
            self.call.usage = self.pipeline.usage
        self.call.end(Outcome.CANCELLED)

    def _finished(self, response: Response) -> None:
        self._note_usage(response)
        self.call.end(Outcome.FINISHED)

    def _note_usage(self, response: Response) -> None:
        self.call.usage = self._kept.usage_of(response)
        if self.call.usage is None:  # then it is estimated
            self._output_chars = sum(len(getattr(part, "text", "") or getattr(part, "arguments", "")) for part in response.parts)

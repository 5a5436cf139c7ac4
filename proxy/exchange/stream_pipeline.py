"""Translates one attempt's stream: the upstream's bytes in, the client's bytes out. Pure: no clock, no sockets.

``feed`` takes one read of the upstream and returns all bytes that it makes available to the client. Between two dialects each
frame is decoded, restored and encoded. Within one dialect frames are forwarded as they are; they are decoded too, so that
usage, the end of the stream and errors are known.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from billing.outcomes import Outcome
from proxy.translation.adaptation.dropped_response import DroppedResponse
from proxy.translation.canonical import (
    Cited,
    Event,
    Failed,
    Finish,
    Finished,
    Opaque,
    PartDelta,
    PartStarted,
    Reasoning,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)
from proxy.translation.dialects.base import Dialect, EncodeContext, StreamEncoder
from proxy.translation.dialects.object_api import MadeObject
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.policies.stream_transforms import Transform
from proxy.translation.quirks import Quirks
from proxy.translation.reasoning_seal import bound


class StreamPipeline:
    """One attempt's stream.

    ``response_id``: the upstream's id of the response. ``made``: what the upstream made for it, within one dialect.
    ``has_content``: text, reasoning or a tool call has come; until then another target can still be tried. ``outcome`` is
    ``None`` while the stream runs, then ``finished`` or ``failed`` (with ``failure``). ``output_chars``: characters of the
    model's output so far, for an estimate if no usage comes. ``has_frames``: the last read completed a frame; comments and
    blank lines are none. ``dropped``: what the client does not get.
    """

    def __init__(
        self, source: Dialect, sink: Dialect, *, quirks: Quirks, context: EncodeContext, restorer: Transform | None, upstream: str = ""
    ) -> None:
        """``upstream``: the id of the upstream that reasoning seals are bound to."""
        self._upstream = upstream if source.binds_seals else ""
        self._source = source
        self._sink = sink
        self._reader = source.framing.reader()
        self._decoder = source.decoder(quirks)
        self._restorer = restorer
        self._encoder: StreamEncoder = sink.encoder(context)
        self._relay: Callable[[Frame], Frame | None] | None = None
        self._forwarded_frames = 0
        self._before_content: list[Event] = []
        self._objects = sink.client.objects if source is sink else None
        self.response_id = ""
        self.made: list[MadeObject] = []
        self.is_taken_over = False
        self.dropped = DroppedResponse(source, sink)
        self._note_by_type = {
            PartDelta: self._on_delta,
            PartStarted: self._on_part,
            Cited: self._on_cited,
            Started: self._on_started,
            UsageReported: self._on_usage,
            Finished: self._on_finished,
            Failed: self._on_failed,
        }
        self.has_content = False
        self.has_frames = False
        self.outcome: Outcome | None = None
        self.failure: Failure | None = None
        self.usage: Usage | None = None
        self.output_chars = 0

    @classmethod
    def passing_through(
        cls, dialect: Dialect, *, quirks: Quirks, context: EncodeContext, rename: str | None, hide_usage: bool
    ) -> StreamPipeline:
        """A pipeline within one dialect.

        ``rename`` replaces the model's name; ``hide_usage`` removes the usage chunk that the client did not ask for.
        """
        pipeline = cls(dialect, dialect, quirks=quirks, context=context, restorer=None)
        pipeline._relay = dialect.relay(rename, hide_usage)
        return pipeline

    @property
    def is_forwarding(self) -> bool:
        """Whether the client gets the upstream's frames, with its ids."""
        return self._relay is not None

    def feed(self, chunk: bytes) -> bytes:
        """The client's bytes for one read; empty once the stream has ended."""
        if self.outcome is not None:
            return b""
        frames = self._reader.feed(chunk)
        self.has_frames = bool(frames)
        return self._pass(frames)

    def close(self) -> bytes:
        """The client's bytes at the end of the upstream's: the last frames, or an error event if the stream is not complete."""
        if self.outcome is not None:
            return b""
        output = self._pass(self._reader.close())
        if self.outcome is None:
            output += self._encode(self._decoder.close())
        return output

    def fail(self, failure: Failure) -> bytes:
        """The client's error event for a connection that broke; empty once the stream has ended."""
        return b"" if self.outcome is not None else self._encode([Failed(failure)])

    def take_over(self, encoder: StreamEncoder) -> None:
        """Continue with an encoder that has opened the client's stream.

        Only before the first content; the caller discards the bytes that were returned so far. The events before the first
        content are encoded again, together with it.
        """
        self.is_taken_over = True
        self._relay = None
        self._encoder = encoder
        self._before_content = [event for event in self._before_content if not isinstance(event, Started)]

    def _pass(self, frames: list[Frame]) -> bytes:
        if self._relay is None:
            events: list[Event] = []
            for frame in frames:
                events += self._decoder.feed(frame)
            return self._encode(events)
        write = self._sink.framing.write
        out: list[bytes] = []
        for frame in frames:
            for event in self._decoder.feed(frame):
                if event.__class__ is PartDelta and self.has_content:
                    self.output_chars += len(event.text)
                    continue
                self._note(event)
                if not self.has_content:
                    self._before_content.append(event)
            passed = self._relay(frame)
            if self.failure is not None and frame in self._sink.ending:
                out += [write(last) for last in self._sink.break_off(self.failure, self._forwarded_frames)]
            elif passed is not None:
                out.append(write(passed))
                self._forwarded_frames += 1
            if self.outcome is not None:
                break
        return b"".join(out)

    def _encode(self, events: list[Event]) -> bytes:
        """Note the events, restore them and encode them for the client."""
        if self._relay is not None:
            return self._encode_end_of_relay(events)
        write, encode = self._sink.framing.write, self._encoder.feed
        plain = self._restorer is None
        out: list[bytes] = []
        for event in events:
            if plain and self.has_content and event.__class__ is PartDelta:
                # The fast path for nearly every event of a stream: nothing is held back, restored or bound.
                self.output_chars += len(event.text)
                for frame in encode(event):
                    out.append(write(frame))  # noqa: PERF401  (a comprehension is a call of a function for each event)
                continue
            self._note(event)
            out += [write(frame) for restored in self._for_client(event) for frame in encode(restored)]
        return b"".join(out)

    def _for_client(self, event: Event) -> list[Event]:
        """The events that are encoded for an event: those that were held back, then itself, restored and bound to its upstream."""
        if self._upstream:
            event = bound(event, self._upstream, self._source.family)
        restored = [event] if self._restorer is None else self._restorer.feed(event)
        if self.has_content or self.outcome is not None:
            if self.is_taken_over and self._before_content:
                restored = [*(held for held in self._before_content if not isinstance(held, Started)), *restored]
                self._before_content = []
            return restored
        self._before_content += restored
        return [] if self.is_taken_over else restored

    def _encode_end_of_relay(self, events: list[Event]) -> bytes:
        """The end of a forwarded stream: only a missing last frame or an error is encoded."""
        out: list[bytes] = []
        for event in events:
            self._note(event)
            if isinstance(event, Finished):
                out += [self._sink.framing.write(frame) for frame in self._sink.ending]
            elif isinstance(event, Failed):
                out += [self._sink.framing.write(frame) for frame in self._sink.break_off(event.failure, self._forwarded_frames)]
        return b"".join(out)

    # --- facts for the log -----------------------------------------------------------------------------------------

    def _note(self, event: Event) -> None:
        note = self._note_by_type.get(type(event))
        if note is not None:
            note(event)  # type: ignore[operator]

    def _on_delta(self, event: PartDelta) -> None:
        self.has_content = True
        self.output_chars += len(event.text)

    def _on_part(self, event: PartStarted) -> None:
        head = event.part
        if isinstance(head, ToolCall) or (isinstance(head, Reasoning) and head.seal is not None) or not isinstance(head, Text | Reasoning):
            self.has_content = True
        if self._objects is not None and isinstance(head, Opaque):
            self.made += self._objects.made_in(Finish(), (bytes(head.native),))
        self.dropped.note_part(head)

    def _on_cited(self, event: Cited) -> None:
        self.dropped.note_citation(event.citation)

    def _on_started(self, event: Started) -> None:
        self.usage = event.usage
        self.response_id = event.id

    def _on_usage(self, event: UsageReported) -> None:
        self.usage = event.usage

    def _on_finished(self, event: Finished) -> None:
        self.outcome = Outcome.FINISHED
        if self._objects is not None and event.finish.native:
            self.made += self._objects.made_in(event.finish, ())

    def _on_failed(self, event: Failed) -> None:
        self.outcome = Outcome.FAILED
        self.failure = event.failure


def holds_events(raw: bytes) -> bool:
    """Whether a body is a stream of events although its content type says something else."""
    return raw.lstrip()[:6].startswith((b"data:", b"event:"))


def is_stream(received: Mapping[str, str]) -> bool:
    """Whether the body of a response is a stream of events, whether or not one was requested."""
    return received.get("content-type", "").startswith(("text/event-stream", "application/vnd.amazon.eventstream"))

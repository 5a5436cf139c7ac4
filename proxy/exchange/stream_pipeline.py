"""A stream on its way from the upstream's wire to the client's: bytes in, bytes out, and what was learnt between.

Pure: no clock, no sockets. ``feed`` takes one read of the upstream and returns everything that the client may see of it, in
one piece. Between two different dialects each frame is decoded, restored and encoded; within one dialect the frames pass as
they are and the decoder only listens, so that the usage, the end and a broken stream are known there too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from proxy.translation.canonical import (
    Event,
    Failed,
    Finished,
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
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.policies.stream_transforms import Transform
from proxy.translation.quirks import Quirks
from proxy.translation.reasoning_seal import bound


class Pipe:
    """One attempt's stream.

    ``has_content``: a meaningful event (text, reasoning, a tool call) has been seen; until then the exchange may still go to
    another upstream. ``outcome`` is ``None`` while the stream runs, then ``finished`` or ``failed`` (with ``failure``).
    ``output_chars``: characters that the model wrote so far, for an estimate where no usage comes. ``has_spoken``: the last
    read completed an event; comments and blank lines are none.
    """

    def __init__(
        self, source: Dialect, sink: Dialect, *, quirks: Quirks, reply: EncodeContext, restorer: Transform | None, upstream: str = ""
    ) -> None:
        """``upstream``: the id that reasoning is bound to."""
        self._upstream = upstream if source.binds_seals else ""
        self._source = source
        self._sink = sink
        self._reply = reply
        self._reader = source.framing.reader()
        self._decoder = source.decoder(quirks)
        self._restorer = restorer
        self._encoder: StreamEncoder = sink.encoder(reply)
        self._relay: Callable[[Frame], Frame | None] | None = None
        self._relayed = 0
        self._early: list[Event] = []
        self.is_taken_over = False
        self._note_of = {
            PartDelta: self._on_delta,
            PartStarted: self._on_part,
            Started: self._on_started,
            UsageReported: self._on_usage,
            Finished: self._on_finished,
            Failed: self._on_failed,
        }
        self.has_content = False
        self.has_spoken = False
        self.outcome: str | None = None
        self.failure: Failure | None = None
        self.usage: Usage | None = None
        self.output_chars = 0

    @classmethod
    def passing_through(cls, dialect: Dialect, *, quirks: Quirks, reply: EncodeContext, rename: str | None, hide_usage: bool) -> Pipe:
        """A pipe within one dialect: frames as they came, but for the model's name and a usage chunk nobody asked for."""
        pipe = cls(dialect, dialect, quirks=quirks, reply=reply, restorer=None)
        pipe._relay = dialect.relay(rename, hide_usage)
        return pipe

    def feed(self, chunk: bytes) -> bytes:
        """What the client sees of one read; empty once the stream has ended."""
        if self.outcome is not None:
            return b""
        frames = self._reader.feed(chunk)
        self.has_spoken = bool(frames)
        return self._pass(frames)

    def close(self) -> bytes:
        """The upstream's bytes have ended: the last frames, or the error event if the stream was not complete."""
        if self.outcome is not None:
            return b""
        told = self._pass(self._reader.close())
        if self.outcome is None:
            told += self._tell(self._decoder.close())
        return told

    def fail(self, failure: Failure) -> bytes:
        """The connection broke: the client's error event. Nothing if the stream had ended already."""
        return b"" if self.outcome is not None else self._tell([Failed(failure)])

    def take_over(self, encoder: StreamEncoder) -> None:
        """Go on with an encoder that has opened the client's stream already.

        Before any content only; the bytes that were returned so far are to be thrown away. What was told so far, and what
        comes before the first content, is encoded together with it.
        """
        self.is_taken_over = True
        self._relay = None
        self._encoder = encoder
        self._early = [event for event in self._early if not isinstance(event, Started)]

    def _pass(self, frames: list[Frame]) -> bytes:
        if self._relay is None:
            events: list[Event] = []
            for frame in frames:
                events += self._decoder.feed(frame)
            return self._tell(events)
        write = self._sink.framing.write
        out: list[bytes] = []
        for frame in frames:
            for event in self._decoder.feed(frame):
                self._note(event)
                if not self.has_content:
                    self._early.append(event)
            passed = self._relay(frame)
            if passed is not None:
                out.append(write(passed))
                self._relayed += 1
            if self.outcome is not None:
                break
        return b"".join(out)

    def _tell(self, events: list[Event]) -> bytes:
        """Note the events and encode them for the client, restored where there is something to restore."""
        if self._relay is not None:
            return self._tell_end_of_relay(events)
        write, encode = self._sink.framing.write, self._encoder.feed
        plain = self._restorer is None and not self._upstream
        out: list[bytes] = []
        for event in events:
            if plain and self.has_content and event.__class__ is PartDelta:
                # Nearly every event of a stream; nothing about it is held, restored or bound.
                self.output_chars += len(event.text)
                out += [write(frame) for frame in encode(event)]
                continue
            self._note(event)
            out += [write(frame) for each in self._for_client(event) for frame in encode(each)]
        return b"".join(out)

    def _for_client(self, event: Event) -> list[Event]:
        """What the encoder is told of an event: restored, bound to its upstream, and after what was held back before."""
        if self._upstream:
            event = bound(event, self._upstream, self._source.family)
        restored = [event] if self._restorer is None else self._restorer.feed(event)
        if self.has_content or self.outcome is not None:
            if self.is_taken_over and self._early:
                restored = [*(held for held in self._early if not isinstance(held, Started)), *restored]
                self._early = []
            return restored
        self._early += restored
        return [] if self.is_taken_over else restored

    def _tell_end_of_relay(self, events: list[Event]) -> bytes:
        """A relayed stream told everything itself, except that it broke off."""
        out: list[bytes] = []
        for event in events:
            self._note(event)
            if isinstance(event, Finished):
                out += [self._sink.framing.write(frame) for frame in self._sink.ending]
            elif isinstance(event, Failed):
                out += [self._sink.framing.write(frame) for frame in self._sink.break_off(event.failure, self._relayed)]
        return b"".join(out)

    # --- what is learnt --------------------------------------------------------------------------------------------

    def _note(self, event: Event) -> None:
        note = self._note_of.get(type(event))
        if note is not None:
            note(event)  # type: ignore[operator]

    def _on_delta(self, event: PartDelta) -> None:
        self.has_content = True
        self.output_chars += len(event.text)

    def _on_part(self, event: PartStarted) -> None:
        head = event.part
        if isinstance(head, ToolCall) or (isinstance(head, Reasoning) and head.seal is not None) or not isinstance(head, Text | Reasoning):
            self.has_content = True

    def _on_started(self, event: Started) -> None:
        self.usage = event.usage

    def _on_usage(self, event: UsageReported) -> None:
        self.usage = event.usage

    def _on_finished(self, _event: Finished) -> None:
        self.outcome = "finished"

    def _on_failed(self, event: Failed) -> None:
        self.outcome = "failed"
        self.failure = event.failure


def holds_events(raw: bytes) -> bool:
    """Whether a body is a stream of events although its content type says something else."""
    return raw.lstrip()[:6].startswith((b"data:", b"event:"))


def is_stream(received: Mapping[str, str]) -> bool:
    """Whether an answer's body is a stream of events, whatever was asked for."""
    return received.get("content-type", "").startswith(("text/event-stream", "application/vnd.amazon.eventstream"))

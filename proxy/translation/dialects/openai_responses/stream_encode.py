"""Canonical events, as the stream that a Responses client reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from proxy.translation import json_wire
from proxy.translation.accumulate import Accumulator
from proxy.translation.canonical import (
    Cited,
    Event,
    Failed,
    Finish,
    Finished,
    Opaque,
    Part,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    Started,
    Text,
    ToolCall,
    Usage,
    UsageReported,
)
from proxy.translation.dialects.base import EncodeContext, StreamEncoder
from proxy.translation.dialects.openai_responses import compaction
from proxy.translation.dialects.openai_responses.event_sequencer import EventSequencer
from proxy.translation.dialects.openai_responses.response_encode import ReplyObject
from proxy.translation.dialects.openai_responses.stream_encode_items import CallWriter, MessageItem, ReasoningWriter, TextWriter, Writer
from proxy.translation.dialects.openai_responses.wire import FAMILY
from proxy.translation.errors import Failure, UpstreamFailed
from proxy.translation.framing.sse import Frame

_FAILURE_CODES = {
    "rate_limit": "rate_limit_exceeded",
    "context_length": "context_length_exceeded",
    "quota": "insufficient_quota",
    "invalid_request": "invalid_prompt",
}
"""Codes that clients act upon; everything else is a ``server_error``, which they try again."""


class Encoder:
    """Interleaved parts stay interleaved: every item has its own index, and several may be open."""

    def __init__(self, reply: EncodeContext) -> None:
        self._object = ReplyObject(reply)
        self._sequencer = EventSequencer(reply.id, reply.seal_key)
        self._begun = False
        self._open: dict[int, Writer] = {}
        self._message: MessageItem | None = None
        self._usage: Usage | None = None
        self._refused = False
        self._step: dict[type, Callable[[Any], list[Frame]]] = {
            PartDelta: self._delta,
            PartStarted: self._started,
            PartEnded: self._ended,
            Cited: self._cited,
            UsageReported: self._reported,
            Started: self._reported,
            Finished: self._finished,
            Failed: self._failed,
        }

    def feed(self, event: Event) -> list[Frame]:
        """The frames that tell ``event``."""
        if self._begun:
            return self._step[type(event)](event)
        self._begun = True
        return [*self._begin(), *self._step[type(event)](event)]

    def _begin(self) -> list[Frame]:
        told = b'"response":%b' % self._object.in_progress()
        return [self._sequencer.event("response.created", told), self._sequencer.event("response.in_progress", told)]

    # --- parts -----------------------------------------------------------------------------------------------------

    def _started(self, event: PartStarted) -> list[Frame]:
        part = event.part
        if isinstance(part, Text):
            self._refused = self._refused or part.refusal
            self._open[event.index] = TextWriter(self._sequencer, part)
            return self._delta(PartDelta(event.index, part.text, part.logprobs)) if part.text else []
        if isinstance(part, Reasoning):
            self._open[event.index] = ReasoningWriter(self._sequencer, part)
            return self._delta(PartDelta(event.index, part.text)) if part.text else []
        if isinstance(part, ToolCall):
            frames = self._close_message()
            writer = self._open[event.index] = CallWriter(self._sequencer, part)
            frames += writer.open()
            return frames + writer.delta(part.arguments) if part.arguments else frames
        return self._whole(part)

    def _whole(self, part: Part) -> list[Frame]:
        """An item of a hosted tool, which only its own family tells."""
        if not isinstance(part, Opaque) or part.family != FAMILY:
            return []
        frames = self._close_message()
        index = self._sequencer.take_index()
        self._sequencer.done[index] = bytes(part.native)
        told = b'"output_index":%d,"item":%b' % (index, bytes(part.native))
        return [
            *frames,
            self._sequencer.event("response.output_item.added", told),
            self._sequencer.event("response.output_item.done", told),
        ]

    def _delta(self, event: PartDelta) -> list[Frame]:
        writer = self._open[event.index]
        if isinstance(writer, TextWriter):
            return writer.delta(event) if writer.is_open else [*self._open_text(writer), *writer.delta(event)]
        if isinstance(writer, ReasoningWriter) and not writer.is_open:
            return [*self._close_message(), *writer.open(), *writer.delta(event.text)]
        return writer.delta(event.text)

    def _open_text(self, writer: TextWriter) -> list[Frame]:
        message = self._message
        if message is not None and not message.has_open_part:
            return writer.open(message)
        frames = self._close_message()
        message = self._message = MessageItem(self._sequencer)
        return [*frames, message.added(), *writer.open(message)]

    def _close_message(self) -> list[Frame]:
        """A message ends where another item begins."""
        message, self._message = self._message, None
        return message.close() if message is not None else []

    def _cited(self, event: Cited) -> list[Frame]:
        writer = self._open[event.index]
        if not isinstance(writer, TextWriter):
            return []
        return writer.cite(event.citation) if writer.is_open else [*self._open_text(writer), *writer.cite(event.citation)]

    def _ended(self, event: PartEnded) -> list[Frame]:
        writer = self._open.pop(event.index, None)
        if writer is None:
            return []
        if not isinstance(writer, ReasoningWriter):
            return writer.end()
        if not writer.sealed(event.seal):
            return []
        return writer.end() if writer.is_open else [*self._close_message(), *writer.open(), *writer.end()]

    # --- the end ---------------------------------------------------------------------------------------------------

    def _reported(self, event: UsageReported | Started) -> list[Frame]:
        self._usage = event.usage
        return []

    def _finished(self, event: Finished) -> list[Frame]:
        frames: list[Frame] = []
        for index in list(self._open):
            frames += self._ended(PartEnded(index))
        frames += self._close_message()
        return [*frames, self._terminal(event.finish)]

    def _terminal(self, finish: Finish) -> Frame:
        status, body = self._object.finished(self._sequencer.output(), finish, self._usage, refused=self._refused)
        return self._sequencer.event(f"response.{status}", b'"response":%b' % body)

    def _failed(self, event: Failed) -> list[Frame]:
        body = self._object.failed(self._sequencer.output(), stream_error(event.failure), self._usage)
        return [self._sequencer.event("response.failed", b'"response":%b' % body)]


class CompactionEncoder(Encoder):
    """The stream that answers a compaction request: one item, told when all of it is known."""

    def __init__(self, reply: EncodeContext) -> None:
        super().__init__(reply)
        self._reply = reply
        self._whole_answer = Accumulator()

    def feed(self, event: Event) -> list[Frame]:
        """Nothing of the answer is told before its end."""
        if isinstance(event, Started | Failed):
            return super().feed(event)
        self._whole_answer.feed(event)
        begun = [] if self._begun else super().feed(Started())
        if not isinstance(event, Finished):
            return begun
        try:
            item = compaction.item(self._whole_answer.response(), self._reply)
        except UpstreamFailed as failed:
            return begun + super().feed(Failed(failed.failure))
        self._usage = self._whole_answer.usage
        index = self._sequencer.take_index()
        added = self._sequencer.event("response.output_item.added", b'"output_index":%d,"item":%b' % (index, json_wire.encode(item)))
        return [*begun, added, self._sequencer.item_done(index, item), self._terminal(event.finish)]


def encoder(reply: EncodeContext) -> StreamEncoder:
    """A new stream machine for one reply."""
    return CompactionEncoder(reply) if compaction.is_asked(reply.request) else Encoder(reply)


def stream_error(failure: Failure) -> dict[str, str]:
    """The ``error`` of a failed response."""
    return {"code": _FAILURE_CODES.get(failure.kind, "server_error"), "message": failure.message}


def break_off(failure: Failure, frames_sent: int) -> list[Frame]:
    """The end of a relayed stream that broke: an error event, because only the upstream knows its response object."""
    error = stream_error(failure)
    event = {"type": "error", **error, "param": None, "sequence_number": frames_sent}
    return [Frame(json_wire.encode(event), "error")]

"""Encodes canonical events as the stream for a Responses client (docs/wire-formats.md, sections 3.5 and 9)."""

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
from proxy.translation.dialects.openai_responses.response_encode import ResponseObject
from proxy.translation.dialects.openai_responses.stream_encode_items import CallWriter, MessageWriter, ReasoningWriter, TextWriter, Writer
from proxy.translation.dialects.openai_responses.wire import FAMILY
from proxy.translation.dialects.refusals import explanation
from proxy.translation.errors import Failure, UpstreamFailed
from proxy.translation.framing.sse import Frame

_FAILURE_CODES = {
    "rate_limit": "rate_limit_exceeded",
    "context_length": "context_length_exceeded",
    "quota": "insufficient_quota",
    "invalid_request": "invalid_prompt",
}
"""The ``code`` of kinds of failures that clients act upon; all others are ``server_error``, after which clients retry."""


class ResponsesStreamEncoder:
    """Encodes one stream. Parts may be interleaved, because each event has the index of its item. ``_writers``: the open parts."""

    def __init__(self, context: EncodeContext) -> None:
        self._object = ResponseObject(context)
        self._sequencer = EventSequencer(context.id, context.seal_key)
        self._created = False
        self._writers: dict[int, Writer] = {}
        self._message: MessageWriter | None = None
        self._usage: Usage | None = None
        self._refused = False
        self._handlers: dict[type, Callable[[Any], list[Frame]]] = {
            PartDelta: self._on_delta,
            PartStarted: self._on_part_started,
            PartEnded: self._on_part_ended,
            Cited: self._on_cited,
            UsageReported: self._on_usage,
            Started: self._on_usage,
            Finished: self._on_finished,
            Failed: self._on_failed,
        }

    def feed(self, event: Event) -> list[Frame]:
        """The frames of one event; the first one also creates the response."""
        if self._created:
            return self._handlers[type(event)](event)
        self._created = True
        return [*self._create(), *self._handlers[type(event)](event)]

    def _create(self) -> list[Frame]:
        fields = b'"response":%b' % self._object.in_progress()
        return [self._sequencer.event("response.created", fields), self._sequencer.event("response.in_progress", fields)]

    # --- parts -----------------------------------------------------------------------------------------------------

    def _on_part_started(self, event: PartStarted) -> list[Frame]:
        part = event.part
        if isinstance(part, Text):
            self._refused = self._refused or part.refusal
            self._writers[event.index] = TextWriter(self._sequencer, part)
            return self._on_delta(PartDelta(event.index, part.text, part.logprobs)) if part.text else []
        if isinstance(part, Reasoning):
            self._writers[event.index] = ReasoningWriter(self._sequencer, part)
            return self._on_delta(PartDelta(event.index, part.text)) if part.text else []
        if isinstance(part, ToolCall):
            frames = self._close_message()
            writer = self._writers[event.index] = CallWriter(self._sequencer, part)
            frames += writer.open()
            return frames + writer.delta(part.arguments) if part.arguments else frames
        return self._encode_native_item(part)

    def _encode_native_item(self, part: Part) -> list[Frame]:
        """The item of a hosted tool of a Responses upstream, unchanged; parts of other families are skipped."""
        if not isinstance(part, Opaque) or part.family != FAMILY:
            return []
        frames = self._close_message()
        index = self._sequencer.take_index()
        self._sequencer.done_items[index] = bytes(part.native)
        fields = b'"output_index":%d,"item":%b' % (index, bytes(part.native))
        return [
            *frames,
            self._sequencer.event("response.output_item.added", fields),
            self._sequencer.event("response.output_item.done", fields),
        ]

    def _on_delta(self, event: PartDelta) -> list[Frame]:
        writer = self._writers[event.index]
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
        message = self._message = MessageWriter(self._sequencer)
        return [*frames, message.added(), *writer.open(message)]

    def _close_message(self) -> list[Frame]:
        """End the open message, because another item begins."""
        message, self._message = self._message, None
        return message.close() if message is not None else []

    def _on_cited(self, event: Cited) -> list[Frame]:
        writer = self._writers[event.index]
        if not isinstance(writer, TextWriter):
            return []
        return writer.cite(event.citation) if writer.is_open else [*self._open_text(writer), *writer.cite(event.citation)]

    def _on_part_ended(self, event: PartEnded) -> list[Frame]:
        writer = self._writers.pop(event.index, None)
        if writer is None:
            return []
        if not isinstance(writer, ReasoningWriter):
            return writer.end()
        if not writer.take_seal(event.seal):
            return []
        return writer.end() if writer.is_open else [*self._close_message(), *writer.open(), *writer.end()]

    # --- the end ---------------------------------------------------------------------------------------------------

    def _on_usage(self, event: UsageReported | Started) -> list[Frame]:
        self._usage = event.usage
        return []

    def _on_finished(self, event: Finished) -> list[Frame]:
        frames: list[Frame] = []
        for index in list(self._writers):
            frames += self._on_part_ended(PartEnded(index))
        if explanation(event.finish) and not self._refused:
            writer = TextWriter(self._sequencer, Text("", refusal=True))
            frames += [*self._open_text(writer), *writer.delta(PartDelta(-1, explanation(event.finish))), *writer.end()]
        frames += self._close_message()
        return [*frames, self._terminal_event(event.finish)]

    def _terminal_event(self, finish: Finish) -> Frame:
        status, body = self._object.finished(self._sequencer.output(), finish, self._usage, refused=self._refused)
        return self._sequencer.event(f"response.{status}", b'"response":%b' % body)

    def _on_failed(self, event: Failed) -> list[Frame]:
        body = self._object.failed(self._sequencer.output(), encode_stream_error(event.failure), self._usage)
        return [self._sequencer.event("response.failed", b'"response":%b' % body)]


class CompactionEncoder(ResponsesStreamEncoder):
    """Encodes the stream of a compaction: one item, sent when the whole response is known."""

    def __init__(self, context: EncodeContext) -> None:
        super().__init__(context)
        self._context = context
        self._accumulator = Accumulator()

    def feed(self, event: Event) -> list[Frame]:
        """Nothing of the response is sent before its end."""
        if isinstance(event, Started | Failed):
            return super().feed(event)
        self._accumulator.feed(event)
        created_events = [] if self._created else super().feed(Started())
        if not isinstance(event, Finished):
            return created_events
        try:
            item = compaction.encode_item(self._accumulator.response(), self._context)
        except UpstreamFailed as failed:
            return created_events + super().feed(Failed(failed.failure))
        self._usage = self._accumulator.usage
        index = self._sequencer.take_index()
        added = self._sequencer.event("response.output_item.added", b'"output_index":%d,"item":%b' % (index, json_wire.encode(item)))
        return [*created_events, added, self._sequencer.item_done(index, item), self._terminal_event(event.finish)]


def encoder(context: EncodeContext) -> StreamEncoder:
    """An encoder for one stream."""
    return CompactionEncoder(context) if compaction.is_compaction(context.request) else ResponsesStreamEncoder(context)


def encode_stream_error(failure: Failure) -> dict[str, str]:
    """The field ``error`` of a failed response."""
    return {"code": _FAILURE_CODES.get(failure.kind, "server_error"), "message": failure.message}


def break_off(failure: Failure, frames_sent: int) -> list[Frame]:
    """The ``error`` event that ends a relayed stream after a failure; only the upstream knows the response object of its own stream."""
    error = encode_stream_error(failure)
    event = {"type": "error", **error, "param": None, "sequence_number": frames_sent}
    return [Frame(json_wire.encode(event), "error")]

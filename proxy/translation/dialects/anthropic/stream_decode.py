"""Events of a Messages stream to canonical events (docs/wire-formats.md, sections 1.6 and 9).

The grammar of the wire::

    message_start (content_block_start content_block_delta* content_block_stop)* message_delta message_stop

``ping`` may stand anywhere; ``error`` ends the stream. Compatible servers leave out ``message_start`` or a
``content_block_stop``, repeat call ids, and send the whole arguments in ``content_block_start``; all of that is accepted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire

# Nearly every event and part of the canonical form; the other direction needs them, too.
from proxy.translation.canonical import (
    Cited,
    Event,
    Failed,
    Finished,
    Opaque,
    PartDelta,
    PartEnded,
    PartStarted,
    Reasoning,
    Seal,
    Started,
    Text,
    ToolCall,
    UsageReported,
)
from proxy.translation.dialects.anthropic.citations import decode_citation, decode_citations
from proxy.translation.dialects.anthropic.errors import read_error, stream_failure
from proxy.translation.dialects.anthropic.stop_reasons import decode_finish, native_of_message
from proxy.translation.dialects.anthropic.tool_arguments import decode_response_arguments, encode_arguments
from proxy.translation.dialects.anthropic.usage import WireUsage
from proxy.translation.dialects.anthropic.wire import ABSENT, FAMILY, OBJECT, Block, is_present, native_fields, read_block, readable_text
from proxy.translation.dialects.lenient_json import decode_leniently
from proxy.translation.errors import ClientMistake, Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import Quirks


class _Delta(msgspec.Struct, gc=False):
    """The fields of all deltas: those of a block, and that of the message."""

    type: str = ""
    text: str | None = None
    thinking: str | None = None
    signature: str | None = None
    partial_json: str | None = None
    citation: Raw = ABSENT
    content: str | None = None
    encrypted_content: str | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None
    container: Any = None


class _Message(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    content: list[Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None
    usage: WireUsage | None = None
    container: Any = None
    context_management: Any = None
    diagnostics: Any = None
    input_transformations: Any = None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    index: int = 0
    delta: _Delta | None = None
    content_block: Raw = ABSENT
    message: _Message | None = None
    usage: WireUsage | None = None
    error: Any = None
    context_management: Any = None
    input_transformations: Any = None


class _Kind(msgspec.Struct):
    type: str = ""


_DELTA = "content_block_delta"
_EVENT = msgspec.json.Decoder(_Event)
_KIND = msgspec.json.Decoder(_Kind)


class _OpenBlock:
    """A block whose ``content_block_stop`` has not arrived.

    ``native``: the JSON of its start. ``started``: text: ``PartStarted`` was sent; tool call: a fragment of the arguments was sent.
    ``fragments``, ``added_fields``: the input and the fields that deltas add to an ``Opaque`` block.
    """

    __slots__ = ("added_fields", "block", "fragments", "kind", "native", "signature", "started")

    def __init__(self, block: Block, native: Raw) -> None:
        self.kind = block.type
        self.block = block
        self.native = native
        self.started = False
        self.signature = block.signature or ""
        self.fragments: list[str] = []
        self.added_fields: dict[str, str] = {}


class AnthropicStreamDecoder:
    """A :class:`~proxy.translation.dialects.base.StreamDecoder`."""

    def __init__(self) -> None:
        self._open: dict[int, _OpenBlock] = {}
        self._text_index = -1
        """The index of the text block that the last text was added to, while it is open."""
        self._usage: WireUsage | None = None
        self._finish: tuple[str | None, str | None, dict[str, Any] | None] = (None, None, None)
        self._native: dict[str, Any] = {}
        self._call_ids: set[str] = set()
        self._has_calls = False
        self._started = False
        self._done = False
        self._handlers: dict[str, Callable[[_Event], list[Event]]] = {
            _DELTA: self._on_block_delta,
            "content_block_start": self._on_block_start,
            "content_block_stop": self._on_block_stop,
            "message_start": self._on_message_start,
            "message_delta": self._on_message_delta,
            "message_stop": self._on_message_stop,
            "error": self._on_error,
        }

    def feed(self, frame: Frame) -> list[Event]:
        if self._done:
            return []
        try:
            event = _EVENT.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._feed_nonconforming(frame)
        delta = event.delta
        if delta is not None and delta.text and event.index == self._text_index and delta.type == "text_delta" and event.type == _DELTA:
            return [PartDelta(event.index, delta.text)]  # nearly every event of a stream
        handler = self._handlers.get(event.type or frame.event)
        return handler(event) if handler is not None else self._on_unknown(event)

    def close(self) -> list[Event]:
        """The end of a stream without ``message_stop``: a failure, unless a ``message_delta`` had the stop reason and no block is open.

        Some servers end with OpenAI's ``[DONE]`` or with nothing; the SDK accepts the message in both cases.
        """
        if self._done:
            return []
        if self._finish[0] is not None and not self._open:
            return self._on_message_stop(_Event())
        return self.fail(Failure(kind="network", message="The upstream stream ended before the message was complete"))

    def _feed_nonconforming(self, frame: Frame) -> list[Event]:
        """A frame that does not fit ``_Event``: repaired if possible, ignored if its type is unknown; otherwise the stream fails."""
        if frame.data.strip() in (b"", b"[DONE]"):
            return self.close() if frame.data.strip() and self._finish[0] is not None else []
        try:
            event = decode_leniently(frame.data, _EVENT)
        except ClientMistake:
            return [] if self._has_unknown_type(frame) else self._fail_invalid()
        handler = self._handlers.get(event.type or frame.event)
        return handler(event) if handler is not None else self._on_unknown(event)

    def _on_unknown(self, event: _Event) -> list[Event]:
        """Events of unknown types are ignored, except that an object with ``error`` and without ``type`` is an error."""
        return self._on_error(event) if event.error is not None and not event.type else []

    def _has_unknown_type(self, frame: Frame) -> bool:
        try:
            return (json_wire.decode(frame.data, _KIND).type or frame.event) not in self._handlers
        except ClientMistake:
            return bool(frame.event) and frame.event not in self._handlers

    # --- one method per event ----------------------------------------------------------------------------------------

    def _on_message_start(self, event: _Event) -> list[Event]:
        if self._started:
            return []
        self._started = True
        message = event.message or _Message()
        self._usage = message.usage
        self._native = native_of_message(message)
        usage = message.usage.to_canonical() if message.usage is not None else None
        if message.stop_reason is not None:
            self._finish = (message.stop_reason, message.stop_sequence, message.stop_details)
        return [Started(message.id or "", message.model or "", usage), *self._start_content(message.content or [])]

    def _start_content(self, blocks: list[Raw]) -> list[Event]:
        """The blocks that ``message_start`` already has, such as calls that code execution made. They are whole."""
        events: list[Event] = []
        for index, block in enumerate(blocks):
            events += self._on_block_start(_Event(index=index, content_block=block))
            events += self._on_block_stop(_Event(index=index))
        return events

    def _on_block_start(self, event: _Event) -> list[Event]:
        try:
            block = read_block(event.content_block, at="content_block") if event.content_block else Block()
        except ClientMistake:
            return self._fail_invalid()
        opened = _OpenBlock(block, event.content_block)
        self._open[event.index] = opened
        self._text_index = -1
        events = self._ensure_started()
        start = _STARTS.get(block.type)
        return events + start(self, event.index, opened) if start is not None else events

    def _on_block_delta(self, event: _Event) -> list[Event]:
        block, delta = self._open.get(event.index), event.delta
        if block is None or delta is None:
            return []
        kind = delta.type
        if kind == "text_delta" and block.kind == "text":
            return self._append_text(event.index, block, delta.text or "")
        if kind == "input_json_delta":
            return self._append_input(event.index, block, delta.partial_json or "")
        if kind == "thinking_delta" and block.kind == "thinking":
            return [PartDelta(event.index, delta.thinking)] if delta.thinking else []
        if kind == "signature_delta":
            block.signature = delta.signature or ""
        elif kind == "citations_delta" and block.kind == "text":
            return self._append_citation(event.index, block, delta.citation)
        elif kind == "compaction_delta":
            block.added_fields |= {name: text for name in ("content", "encrypted_content") if (text := getattr(delta, name)) is not None}
        return []

    def _on_block_stop(self, event: _Event) -> list[Event]:
        block = self._open.pop(event.index, None)
        if block is None:
            return []
        self._text_index = -1
        if block.kind == "text":
            return [PartEnded(event.index)] if block.started else []
        if block.kind == "thinking":
            return [PartEnded(event.index, Seal(FAMILY, FAMILY, {"signature": block.signature}))]
        if block.kind == "tool_use":
            return self._end_call(event.index, block)
        if block.kind == "redacted_thinking":
            return [PartEnded(event.index, Seal(FAMILY, FAMILY, {"redacted": block.block.data or ""}))]
        return [PartStarted(event.index, _complete_opaque(block)), PartEnded(event.index)] if block.native else []

    def _on_message_delta(self, event: _Event) -> list[Event]:
        delta = event.delta
        if delta is not None and delta.stop_reason is not None:
            self._finish = (delta.stop_reason, delta.stop_sequence, delta.stop_details)
        self._native |= native_of_message(delta) | native_of_message(event)
        if event.usage is None:
            return []
        self._usage = event.usage.completed_from(self._usage)
        return [*self._ensure_started(), UsageReported(self._usage.to_canonical())]

    def _on_message_stop(self, _: _Event) -> list[Event]:
        events = self._ensure_started()
        for index in sorted(self._open):
            events += self._on_block_stop(_Event(index=index))
        self._done = True
        reason, sequence, details = self._finish
        events.append(Finished(decode_finish(reason, sequence, details, has_calls=self._has_calls, native=self._native)))
        return events

    def _on_error(self, event: _Event) -> list[Event]:
        message, type_, details = read_error({"error": event.error})
        return self.fail(stream_failure(message, type_, details))

    # --- parts -------------------------------------------------------------------------------------------------------

    def _ensure_started(self) -> list[Event]:
        """``Started``, unless it was sent: some servers leave out ``message_start``."""
        if self._started:
            return []
        self._started = True
        return [Started()]

    def _start_text(self, index: int, block: _OpenBlock) -> list[Event]:
        events = self._append_text(index, block, block.block.text or "")
        for citation in decode_citations(block.block.citations) if is_present(block.block.citations) else ():
            events += self._append_citation(index, block, citation.native)
        return events

    def _append_text(self, index: int, block: _OpenBlock, text: str) -> list[Event]:
        if not text:
            return []
        if block.started:
            return [PartDelta(index, text)]
        block.started = True
        self._text_index = index
        return [PartStarted(index, Text("")), PartDelta(index, text)]

    def _append_citation(self, index: int, block: _OpenBlock, native: Raw) -> list[Event]:
        if not is_present(native):
            return []
        try:
            event = Cited(index, decode_citation(native))
        except ClientMistake:
            return []  # a citation of an unknown shape is dropped; its text stays
        if block.started:
            return [event]
        block.started = True
        return [PartStarted(index, Text("")), event]

    def _start_thinking(self, index: int, block: _OpenBlock) -> list[Event]:
        text = block.block.thinking
        return [PartStarted(index, Reasoning("")), *([PartDelta(index, text)] if text else [])]

    def _start_redacted(self, index: int, block: _OpenBlock) -> list[Event]:
        return [PartStarted(index, Reasoning("", Seal(FAMILY, FAMILY, {"redacted": block.block.data or ""})))]

    def _start_call(self, index: int, block: _OpenBlock) -> list[Event]:
        call_id = block.block.id or ""
        if call_id in self._call_ids:
            call_id = ""
        self._call_ids.add(call_id)
        self._has_calls = True
        return [PartStarted(index, ToolCall(call_id, block.block.name or "", "", native=native_fields(block.block)))]

    def _append_input(self, index: int, block: _OpenBlock, fragment: str) -> list[Event]:
        if not fragment:
            return []
        if block.kind == "tool_use":
            block.started = True
            return [PartDelta(index, fragment)]
        block.fragments.append(fragment)
        return []

    def _end_call(self, index: int, block: _OpenBlock) -> list[Event]:
        """End a call. One without fragments has the arguments of its ``content_block_start``, in most cases none."""
        if block.started:
            return [PartEnded(index)]
        return [PartDelta(index, decode_response_arguments(block.block.input)), PartEnded(index)]

    def _fail_invalid(self) -> list[Event]:
        return self.fail(Failure(kind="bad_gateway", message="The upstream stream contains an invalid event"))

    def fail(self, failure: Failure) -> list[Event]:
        """End the stream with ``failure``, unless it has ended."""
        if self._done:
            return []
        self._done = True
        return [Failed(failure)]


_STARTS: dict[str, Callable[[AnthropicStreamDecoder, int, _OpenBlock], list[Event]]] = {
    "text": AnthropicStreamDecoder._start_text,  # noqa: SLF001 -- the table belongs to the class above
    "thinking": AnthropicStreamDecoder._start_thinking,  # noqa: SLF001
    "redacted_thinking": AnthropicStreamDecoder._start_redacted,  # noqa: SLF001
    "tool_use": AnthropicStreamDecoder._start_call,  # noqa: SLF001
}


def _complete_opaque(block: _OpenBlock) -> Opaque:
    """A block of a type that only this family knows, with the fields and the input that its deltas added."""
    native = block.native
    if block.fragments or block.added_fields:
        fields = OBJECT.decode(native) | {name: Raw(json_wire.encode(text)) for name, text in block.added_fields.items()}
        if block.fragments:
            fields["input"] = encode_arguments("".join(block.fragments))
        native = Raw(json_wire.encode(fields))
    return Opaque(FAMILY, block.kind, native, readable_text(native), history=True)


def decoder(quirks: Quirks) -> AnthropicStreamDecoder:  # noqa: ARG001 -- every dialect's decoder takes the quirks
    """A decoder for one upstream stream; no quirk concerns a Messages stream."""
    return AnthropicStreamDecoder()

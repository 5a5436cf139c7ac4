"""Canonical events to events of a Messages stream (docs/wire-formats.md, sections 1.6 and 9).

On the wire a block ends before the next one starts, while canonical parts may overlap. The events of a part that starts while
another one is open are queued until that one ends. A block is started with its first content; empty text gets no block.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

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
    Usage,
    UsageReported,
)
from proxy.translation.dialects.anthropic import usage as usage_wire
from proxy.translation.dialects.anthropic.citations import encode_citation
from proxy.translation.dialects.anthropic.errors import error_fields
from proxy.translation.dialects.anthropic.ids import CallIds
from proxy.translation.dialects.anthropic.response_encode import encode_signature, encode_thinking, shows_thinking, text_block, tool_use
from proxy.translation.dialects.anthropic.stop_reasons import encode_finish, message_fields
from proxy.translation.dialects.anthropic.wire import FAMILY, OBJECT
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame

_encode_string = msgspec.json.Encoder().encode
_HOST_TOOL_CALLS = frozenset({"server_tool_use", "mcp_tool_use"})
_EMPTY = msgspec.Raw(b"{}")
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")
_STOP = Frame(b'{"type":"message_stop"}', "message_stop")


class _OpenBlock:
    """The open part.

    ``number``: the index of its block on the wire, -1 before ``content_block_start``. ``prefix``: the JSON with which its deltas
    begin, empty before that. ``withheld``: thinking that the client does not see, for the carrier. ``is_custom``: a call of a free-form
    tool, which this dialect does not have: its text becomes the field ``input`` of an object.
    """

    __slots__ = ("head", "is_custom", "number", "prefix", "withheld")

    def __init__(self, head: Text | Reasoning | ToolCall | Opaque) -> None:
        self.head = head
        self.number = -1
        self.prefix = b""
        self.withheld: list[str] = []
        self.is_custom = isinstance(head, ToolCall) and head.kind == "custom"


class AnthropicStreamEncoder:
    """A :class:`~proxy.translation.dialects.base.StreamEncoder`."""

    def __init__(self, context: EncodeContext) -> None:
        self._context = context
        self._ids = CallIds(context.id)
        self._shows_thinking = shows_thinking(context)
        self._usage: Usage | None = None
        self._started = False
        self._next = 0
        self._current: int | None = None
        self._block: _OpenBlock | None = None
        self._queued: dict[int, list[Event]] = {}
        # Every encoder has this table of its own methods: a common base class would tie the dialects to one another.
        self._handlers: dict[type, Callable[[Any], list[Frame]]] = {
            Started: self._on_started,
            PartStarted: self._on_part,
            PartDelta: self._on_delta,
            Cited: self._on_cited,
            PartEnded: self._on_ended,
            UsageReported: self._on_usage,
            Finished: self._on_finished,
            Failed: self._on_failed,
        }

    def feed(self, event: Event) -> list[Frame]:
        return self._handlers[type(event)](event)

    # --- one method per event ----------------------------------------------------------------------------------------

    def _on_started(self, event: Started) -> list[Frame]:
        if self._started:
            return []
        self._started = True
        self._usage = event.usage
        usage = usage_wire.encode_start_usage(event.usage, input_estimate=self._context.input_estimate)
        message: dict[str, Any] = {
            "id": f"msg_{self._context.id}",
            "type": "message",
            "role": "assistant",
            "model": self._context.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "container": None,
            "usage": usage,
        }
        return [_frame("message_start", {"message": message})]

    def _on_part(self, event: PartStarted) -> list[Frame]:
        if self._current is not None:
            self._queued[event.index] = [event]
            return []
        return self._open(event)

    def _on_delta(self, event: PartDelta) -> list[Frame]:
        block = self._block
        if event.index != self._current or block is None:
            return self._enqueue(event)
        if not block.prefix:
            if isinstance(block.head, Reasoning) and not self._shows_thinking:
                block.withheld.append(event.text)
                return []
            return [*self._start_block(block), self._delta(block, event.text)]
        return [self._delta(block, _inside_string(event.text) if block.is_custom else event.text)]

    def _on_cited(self, event: Cited) -> list[Frame]:
        if event.index != self._current or self._block is None:
            return self._enqueue(event)
        encoded = encode_citation(event.citation)
        if encoded is None or not isinstance(self._block.head, Text):
            return []
        frames = [] if self._block.prefix else self._start_block(self._block)
        delta = {"type": "citations_delta", "citation": encoded}
        return [*frames, _frame("content_block_delta", {"index": self._block.number, "delta": delta})]

    def _on_ended(self, event: PartEnded) -> list[Frame]:
        if event.index != self._current:
            return self._enqueue(event)
        return [*self._close(event.seal), *self._encode_queued()]

    def _on_usage(self, event: UsageReported) -> list[Frame]:
        self._usage = event.usage
        return []

    def _on_finished(self, event: Finished) -> list[Frame]:
        frames = [] if self._started else self._on_started(Started())
        while self._current is not None:
            frames += self._on_ended(PartEnded(self._current))
        native = message_fields(event.finish)
        native.pop("diagnostics", None)  # a field of ``message_start`` only
        body = {"delta": encode_finish(event.finish), "usage": usage_wire.encode_delta_usage(self._usage), **native}
        return [*frames, _frame("message_delta", body), _STOP]

    def _on_failed(self, event: Failed) -> list[Frame]:
        return [error_frame(event.failure)]

    # --- blocks ------------------------------------------------------------------------------------------------------

    def _enqueue(self, event: PartDelta | Cited | PartEnded) -> list[Frame]:
        queue = self._queued.get(event.index)
        if queue is not None:
            queue.append(event)
        return []

    def _encode_queued(self) -> list[Frame]:
        """Encode queued parts in the order in which they started, until one of them stays open."""
        frames: list[Frame] = []
        while self._current is None and self._queued:
            for event in self._queued.pop(next(iter(self._queued))):
                frames += self._handlers[type(event)](event)
        return frames

    def _open(self, event: PartStarted) -> list[Frame]:
        if not isinstance(event.part, Text | Reasoning | ToolCall | Opaque):
            return []
        self._current = event.index
        block = self._block = _OpenBlock(event.part)
        if isinstance(event.part, ToolCall):
            frames = self._start_block(block)
            return [*frames, self._delta(block, '{"input":"')] if block.is_custom else frames
        return self._encode_opaque(block, event.part) if isinstance(event.part, Opaque) else []

    def _start_block(self, block: _OpenBlock) -> list[Frame]:
        """The ``content_block_start`` of the open part. Sets the prefix of its deltas."""
        head = block.head
        if isinstance(head, ToolCall):
            start = tool_use(self._ids.assign(head.id, self._current or 0), head.name, {}, head.native)
            kind, field = "input_json_delta", "partial_json"
        elif isinstance(head, Reasoning):
            start = {"type": "thinking", "thinking": "", "signature": ""}
            kind, field = "thinking_delta", "thinking"
        else:
            start, kind, field = text_block("", []), "text_delta", "text"
        frames = self._start_with(block, start)
        block.prefix = f'{{"type":"content_block_delta","index":{block.number},"delta":{{"type":"{kind}","{field}":'.encode()
        return frames

    def _start_with(self, block: _OpenBlock, start: dict[str, Any]) -> list[Frame]:
        block.number, self._next = self._next, self._next + 1
        return [_frame("content_block_start", {"index": block.number, "content_block": start})]

    def _delta(self, block: _OpenBlock, text: str) -> Frame:
        return Frame(block.prefix + _encode_string(text) + b"}}", "content_block_delta")

    def _encode_opaque(self, block: _OpenBlock, part: Opaque) -> list[Frame]:
        """A block of this family, whole in its ``content_block_start``; the input of host tool calls follows as a delta."""
        if part.family != FAMILY:
            return []
        fields = OBJECT.decode(part.native)
        if part.type not in _HOST_TOOL_CALLS or "input" not in fields:
            return self._start_with(block, dict(fields))
        frames = self._start_with(block, fields | {"input": _EMPTY})
        delta = {"type": "input_json_delta", "partial_json": bytes(fields["input"]).decode()}
        return [*frames, _frame("content_block_delta", {"index": block.number, "delta": delta})]

    def _close(self, seal: Seal | None) -> list[Frame]:
        block, self._block, self._current = self._block, None, None
        assert block is not None
        frames = self._end_thinking(block, seal or block.head.seal) if isinstance(block.head, Reasoning) else []
        if block.is_custom:
            frames.append(self._delta(block, '"}'))
        if block.number >= 0:
            frames.append(Frame(b'{"type":"content_block_stop","index":%d}' % block.number, "content_block_stop"))
        return frames

    def _end_thinking(self, block: _OpenBlock, seal: Seal | None) -> list[Frame]:
        """The signature of a thinking block; the whole block if it has not been started."""
        if block.number >= 0:
            return [self._signature_delta(block, encode_signature(seal, self._context))]
        encoded = encode_thinking(Reasoning("".join(block.withheld), seal), self._context)
        if encoded is None:
            return []
        if encoded["type"] == "redacted_thinking":
            return self._start_with(block, encoded)
        frames = self._start_block(block)
        if encoded["thinking"]:
            frames.append(self._delta(block, encoded["thinking"]))
        return [*frames, self._signature_delta(block, encoded["signature"])]

    def _signature_delta(self, block: _OpenBlock, value: str) -> Frame:
        return _frame("content_block_delta", {"index": block.number, "delta": {"type": "signature_delta", "signature": value}})


def _inside_string(text: str) -> str:
    """``text`` as it stands between the quotes of a JSON string."""
    return _encode_string(text)[1:-1].decode()


def error_frame(failure: Failure) -> Frame:
    """The ``error`` event. It is the last event of a stream."""
    return _frame("error", {"error": error_fields(failure)})


def _frame(event: str, body: dict[str, Any]) -> Frame:
    """An event. Native JSON in ``body`` may be indented: its line breaks, which are white space in JSON, become blanks."""
    return Frame(json_wire.encode({"type": event, **body}).translate(_ONE_LINE), event)


def encoder(context: EncodeContext) -> AnthropicStreamEncoder:
    """An encoder for one client stream."""
    return AnthropicStreamEncoder(context)


def break_off(failure: Failure, frames_sent: int) -> list[Frame]:  # noqa: ARG001 -- the signature of all dialects
    """The ``error`` event that ends a broken relayed stream."""
    return [error_frame(failure)]

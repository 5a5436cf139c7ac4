"""Canonical events to events of a ConverseStream (docs/wire-formats.md, section 17.6).

On the wire a block ends before the next one starts, while canonical parts may overlap: the events of a part that starts while another
one is open are queued until that one ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import (
    Cited,
    Event,
    Failed,
    Finished,
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
from proxy.translation.dialects.anthropic.ids import CallIds
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.bedrock.errors import stream_exception
from proxy.translation.dialects.bedrock_converse.citations import encode_citation
from proxy.translation.dialects.bedrock_converse.response_encode import metrics
from proxy.translation.dialects.bedrock_converse.seals import client_signature, encode_reasoning
from proxy.translation.dialects.bedrock_converse.stop_reasons import encode_finish
from proxy.translation.dialects.bedrock_converse.usage import encode_usage
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame

_encode_string = msgspec.json.Encoder().encode
_DELTAS = {Text: b'{"text":', Reasoning: b'{"reasoningContent":{"text":', ToolCall: b'{"toolUse":{"input":'}
_ENDS = {Text: b"}", Reasoning: b"}}", ToolCall: b"}}"}


class _OpenBlock:
    """The open part. ``number``: the index of its block, -1 before the first event of it."""

    __slots__ = ("head", "is_custom", "number")

    def __init__(self, head: Text | Reasoning | ToolCall) -> None:
        self.head = head
        self.number = -1
        self.is_custom = isinstance(head, ToolCall) and head.kind == "custom"


class ConverseStreamEncoder:
    """A :class:`~proxy.translation.dialects.base.StreamEncoder`."""

    def __init__(self, context: EncodeContext) -> None:
        self._context = context
        self._ids = CallIds(context.id)
        self._usage: Usage | None = None
        self._started = False
        self._next = 0
        self._current: int | None = None
        self._block: _OpenBlock | None = None
        self._queued: dict[int, list[Event]] = {}
        self._handlers: dict[type, Callable[[Any], list[Frame]]] = {
            Started: self._on_started,
            PartStarted: self._on_part,
            PartDelta: self._on_delta,
            Cited: self._on_cited,
            PartEnded: self._on_ended,
            UsageReported: self._on_usage,
            Finished: self._on_finished,
            Failed: lambda event: break_off(event.failure, 0),
        }

    def feed(self, event: Event) -> list[Frame]:
        return self._handlers[type(event)](event)

    def _on_started(self, event: Started) -> list[Frame]:
        if self._started:
            return []
        self._started = True
        self._usage = event.usage
        return [Frame(b'{"role":"assistant"}', "messageStart")]

    def _on_part(self, event: PartStarted) -> list[Frame]:
        if self._current is not None:
            self._queued[event.index] = [event]
            return []
        if not isinstance(event.part, Text | Reasoning | ToolCall):
            return []
        self._current, block = event.index, _OpenBlock(event.part)
        self._block = block
        if not isinstance(event.part, ToolCall):
            return []
        call = {"toolUseId": self._ids.assign(event.part.id, event.index), "name": event.part.name}
        number = self._number(block)
        start = _frame("contentBlockStart", {"start": {"toolUse": call}, "contentBlockIndex": number})
        return [start, self._delta(block, '{"input":"')] if block.is_custom else [start]

    def _on_delta(self, event: PartDelta) -> list[Frame]:
        block = self._block
        if event.index != self._current or block is None:
            return self._enqueue(event)
        return [self._delta(block, _encode_string(event.text)[1:-1].decode() if block.is_custom else event.text)]

    def _delta(self, block: _OpenBlock, text: str) -> Frame:
        kind, number = type(block.head), self._number(block)
        data = b'{"delta":%b%b%b,"contentBlockIndex":%d}' % (_DELTAS[kind], _encode_string(text), _ENDS[kind], number)
        return Frame(data, "contentBlockDelta")

    def _number(self, block: _OpenBlock) -> int:
        if block.number < 0:
            block.number, self._next = self._next, self._next + 1
        return block.number

    def _on_cited(self, event: Cited) -> list[Frame]:
        if event.index != self._current or self._block is None:
            return self._enqueue(event)
        encoded = encode_citation(event.citation)
        if encoded is None or not isinstance(self._block.head, Text):
            return []
        return [_frame("contentBlockDelta", {"delta": {"citation": encoded}, "contentBlockIndex": self._number(self._block)})]

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
        metadata = {"usage": encode_usage(self._usage), "metrics": metrics(self._context)}
        return [*frames, _frame("messageStop", {"stopReason": encode_finish(event.finish)}), _frame("metadata", metadata)]

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

    def _close(self, seal: Seal | None) -> list[Frame]:
        block, self._block, self._current = self._block, None, None
        assert block is not None
        frames = self._end_reasoning(block, seal or block.head.seal) if isinstance(block.head, Reasoning) else []
        if block.is_custom:
            frames.append(self._delta(block, '"}'))
        if block.number >= 0:
            frames.append(_frame("contentBlockStop", {"contentBlockIndex": block.number}))
        return frames

    def _end_reasoning(self, block: _OpenBlock, seal: Seal | None) -> list[Frame]:
        """The signature behind reasoning text; the blob of reasoning without text."""
        if block.number >= 0:
            signature = client_signature(seal, self._context.seal_key)
            return [self._reasoning_delta(block, {"signature": signature})] if signature else []
        content = encode_reasoning(Reasoning("", seal), self._context.seal_key)
        if content is None:
            return []
        if "reasoningText" in content:
            return [self._reasoning_delta(block, {"signature": content["reasoningText"]["signature"]})]
        return [self._reasoning_delta(block, content)]

    def _reasoning_delta(self, block: _OpenBlock, content: dict[str, Any]) -> Frame:
        return _frame("contentBlockDelta", {"delta": {"reasoningContent": content}, "contentBlockIndex": self._number(block)})


def _frame(event: str, body: dict[str, Any]) -> Frame:
    return Frame(json_wire.encode(body), event)


def encoder(context: EncodeContext) -> ConverseStreamEncoder:
    """An encoder for one client stream."""
    return ConverseStreamEncoder(context)


def break_off(failure: Failure, frames_sent: int) -> list[Frame]:  # noqa: ARG001 -- the signature of all dialects
    """The exception frame that ends a broken stream."""
    name, message = stream_exception(failure)
    return [Frame(json_wire.encode({"message": message}), name)]

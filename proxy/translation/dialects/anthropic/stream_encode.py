"""Canonical events into the event stream that a client of this dialect reads (wire formats, sections 1.6 and 9.1).

Blocks stand one after the other here, while canonical parts may overlap: a part that starts while another is open waits, with
all it says, until that one ends. A block opens only when there is something in it.
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
from proxy.translation.dialects.anthropic.errors import error_fields
from proxy.translation.dialects.anthropic.ids import CallIds
from proxy.translation.dialects.anthropic.response_encode import shows_thinking, signature, thinking_block
from proxy.translation.dialects.anthropic.stop_reasons import encode_finish
from proxy.translation.dialects.anthropic.wire import FAMILY, OBJECT
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame

_quoted = msgspec.json.Encoder().encode
_CALLS_OF_THE_API = frozenset({"server_tool_use", "mcp_tool_use"})
_EMPTY = msgspec.Raw(b"{}")
_STOP = Frame(b'{"type":"message_stop"}', "message_stop")


class _Block:
    """An open part: its block number once it stands on the wire, and how its deltas begin and end there."""

    __slots__ = ("head", "number", "prefix", "withheld")

    def __init__(self, head: Text | Reasoning | ToolCall | Opaque) -> None:
        self.head = head
        self.number = -1
        self.prefix = b""
        self.withheld: list[str] = []


class AnthropicStreamEncoder:
    """``feed`` events; see :class:`proxy.translation.dialects.base.StreamEncoder`."""

    def __init__(self, reply: EncodeContext) -> None:
        self._reply = reply
        self._ids = CallIds(reply.id)
        self._shows = shows_thinking(reply)
        self._usage: Usage | None = None
        self._started = False
        self._next = 0
        self._current: int | None = None
        self._block: _Block | None = None
        self._waiting: dict[int, list[Event]] = {}
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
        """The frames of one event."""
        return self._handlers[type(event)](event)

    # --- one method per event ----------------------------------------------------------------------------------------

    def _on_started(self, event: Started) -> list[Frame]:
        if self._started:
            return []
        self._started = True
        self._usage = event.usage
        usage = usage_wire.encode(event.usage or Usage(fresh=self._reply.input_estimate))
        message: dict[str, Any] = {
            "id": f"msg_{self._reply.id}",
            "type": "message",
            "role": "assistant",
            "model": self._reply.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "stop_details": None,
            "usage": usage,
        }
        return [_frame("message_start", {"message": message})]

    def _on_part(self, event: PartStarted) -> list[Frame]:
        if self._current is not None:
            self._waiting[event.index] = [event]
            return []
        return self._open(event)

    def _on_delta(self, event: PartDelta) -> list[Frame]:
        block = self._block
        if event.index != self._current or block is None:
            return self._wait(event)
        if not block.prefix:
            if isinstance(block.head, Reasoning) and not self._shows:
                block.withheld.append(event.text)
                return []
            return [*self._stand(block), self._delta(block, event.text)]
        return [self._delta(block, event.text)]

    def _on_cited(self, event: Cited) -> list[Frame]:
        if event.index != self._current or self._block is None:
            return self._wait(event)
        if event.citation.dialect != FAMILY or not isinstance(self._block.head, Text):
            return []
        frames = [] if self._block.prefix else self._stand(self._block)
        delta = {"type": "citations_delta", "citation": event.citation.native}
        return [*frames, _frame("content_block_delta", {"index": self._block.number, "delta": delta})]

    def _on_ended(self, event: PartEnded) -> list[Frame]:
        if event.index != self._current:
            return self._wait(event)
        return [*self._close(event.seal), *self._flush()]

    def _on_usage(self, event: UsageReported) -> list[Frame]:
        self._usage = event.usage
        return []

    def _on_finished(self, event: Finished) -> list[Frame]:
        frames = [] if self._started else self._on_started(Started())
        while self._current is not None:
            frames += self._on_ended(PartEnded(self._current))
        body = {"delta": encode_finish(event.finish), "usage": usage_wire.encode_delta(self._usage)}
        return [*frames, _frame("message_delta", body), _STOP]

    def _on_failed(self, event: Failed) -> list[Frame]:
        return [error_frame(event.failure)]

    # --- blocks ------------------------------------------------------------------------------------------------------

    def _wait(self, event: PartDelta | Cited | PartEnded) -> list[Frame]:
        held = self._waiting.get(event.index)
        if held is not None:
            held.append(event)
        return []

    def _flush(self) -> list[Frame]:
        """What waited for the open part to end, as far as it has ended itself."""
        frames: list[Frame] = []
        while self._current is None and self._waiting:
            for event in self._waiting.pop(next(iter(self._waiting))):
                frames += self._handlers[type(event)](event)
        return frames

    def _open(self, event: PartStarted) -> list[Frame]:
        if not isinstance(event.part, Text | Reasoning | ToolCall | Opaque):
            return []
        self._current = event.index
        block = self._block = _Block(event.part)
        if isinstance(event.part, ToolCall):
            return self._stand(block)
        return self._native(block, event.part) if isinstance(event.part, Opaque) else []

    def _stand(self, block: _Block) -> list[Frame]:
        """Put the block on the wire: its start event, and the fragment that all its deltas begin with."""
        head = block.head
        if isinstance(head, ToolCall):
            start: dict[str, Any] = {"type": "tool_use", "id": self._ids.legal(head.id, self._current or 0), "name": head.name, "input": {}}
            kind, field = "input_json_delta", "partial_json"
        elif isinstance(head, Reasoning):
            start = {"type": "thinking", "thinking": "", "signature": ""}
            kind, field = "thinking_delta", "thinking"
        else:
            start, kind, field = {"type": "text", "text": ""}, "text_delta", "text"
        frames = self._start(block, start)
        block.prefix = f'{{"type":"content_block_delta","index":{block.number},"delta":{{"type":"{kind}","{field}":'.encode()
        return frames

    def _start(self, block: _Block, start: dict[str, Any]) -> list[Frame]:
        block.number, self._next = self._next, self._next + 1
        return [_frame("content_block_start", {"index": block.number, "content_block": start})]

    def _delta(self, block: _Block, text: str) -> Frame:
        return Frame(block.prefix + _quoted(text) + b"}}", "content_block_delta")

    def _native(self, block: _Block, part: Opaque) -> list[Frame]:
        """A block of this family's own: whole in its start, but for the input of the API's own tool calls."""
        if part.family != FAMILY:
            return []
        fields = OBJECT.decode(part.native)
        if part.type not in _CALLS_OF_THE_API or "input" not in fields:
            return self._start(block, dict(fields))
        frames = self._start(block, fields | {"input": _EMPTY})
        delta = {"type": "input_json_delta", "partial_json": bytes(fields["input"]).decode()}
        return [*frames, _frame("content_block_delta", {"index": block.number, "delta": delta})]

    def _close(self, seal: Seal | None) -> list[Frame]:
        block, self._block, self._current = self._block, None, None
        assert block is not None
        frames = self._signed(block, seal or block.head.seal) if isinstance(block.head, Reasoning) else []
        if block.number >= 0:
            frames.append(Frame(b'{"type":"content_block_stop","index":%d}' % block.number, "content_block_stop"))
        return frames

    def _signed(self, block: _Block, seal: Seal | None) -> list[Frame]:
        """What ends a thinking block: its signature; or all of it, where nothing was to be seen so far."""
        if block.number >= 0:
            return [self._signature(block, signature(seal, self._reply))]
        whole = thinking_block(Reasoning("".join(block.withheld), seal), self._reply)
        if whole is None:
            return []
        if whole["type"] == "redacted_thinking":
            return self._start(block, whole)
        frames = self._stand(block)
        if whole["thinking"]:
            frames.append(self._delta(block, whole["thinking"]))
        return [*frames, self._signature(block, whole["signature"])]

    def _signature(self, block: _Block, value: str) -> Frame:
        return _frame("content_block_delta", {"index": block.number, "delta": {"type": "signature_delta", "signature": value}})


def error_frame(failure: Failure) -> Frame:
    """The event that says that the stream broke; nothing follows it."""
    return _frame("error", {"error": error_fields(failure)})


def _frame(event: str, body: dict[str, Any]) -> Frame:
    return Frame(json_wire.encode({"type": event, **body}), event)


def encoder(reply: EncodeContext) -> AnthropicStreamEncoder:
    """A machine for one client stream."""
    return AnthropicStreamEncoder(reply)


def break_off(failure: Failure, frames_sent: int) -> list[Frame]:  # noqa: ARG001 -- the signature of all dialects
    """The error event that ends a relayed stream which broke."""
    return [error_frame(failure)]

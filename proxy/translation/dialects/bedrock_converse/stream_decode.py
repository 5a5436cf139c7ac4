"""Events of a ConverseStream to canonical events (docs/wire-formats.md, section 17.6).

The grammar of the wire::

    messageStart (contentBlockStart? contentBlockDelta* contentBlockStop)* messageStop metadata

Only calls have a ``contentBlockStart``. ``metadata`` has the usage and is the last event; an exception ends the stream in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

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
    UsageReported,
)
from proxy.translation.dialects.bedrock.errors import stream_failure
from proxy.translation.dialects.bedrock_converse.citations import decode_citation
from proxy.translation.dialects.bedrock_converse.stop_reasons import decode_finish, failure_of_stop
from proxy.translation.dialects.bedrock_converse.usage import WireUsage, decode_usage
from proxy.translation.dialects.bedrock_converse.wire import FAMILY
from proxy.translation.errors import Failure
from proxy.translation.framing.eventstream import is_exception
from proxy.translation.framing.sse import Frame
from proxy.translation.lone_surrogates import replace_lone_surrogates
from proxy.translation.quirks import Quirks


class _ToolStart(msgspec.Struct, gc=False):
    toolUseId: str = ""  # noqa: N815 -- the name on the wire; so below
    name: str = ""
    type: str | None = None


class _Start(msgspec.Struct, gc=False):
    toolUse: _ToolStart | None = None  # noqa: N815


class _ToolDelta(msgspec.Struct, gc=False):
    input: str = ""


class _ReasoningDelta(msgspec.Struct, gc=False):
    text: str | None = None
    signature: str | None = None
    redactedContent: str | None = None  # noqa: N815


class _Delta(msgspec.Struct, gc=False):
    text: str | None = None
    toolUse: _ToolDelta | None = None  # noqa: N815
    reasoningContent: _ReasoningDelta | None = None  # noqa: N815
    citation: dict[str, Any] | None = None


class _Event(msgspec.Struct, gc=False):
    contentBlockIndex: int = 0  # noqa: N815
    start: _Start | None = None
    delta: _Delta | None = None
    stopReason: str | None = None  # noqa: N815
    usage: WireUsage | None = None
    serviceTier: Any = None  # noqa: N815


_EVENT = msgspec.json.Decoder(_Event)
_PARTS: dict[str, Text | Reasoning] = {"text": Text(""), "reasoning": Reasoning("")}


class _OpenBlock:
    """A block that has not ended. ``kind``: ``text``, ``reasoning``, ``call`` or ``other``."""

    __slots__ = ("has_arguments", "kind", "redacted", "signature")

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.signature = ""
        self.redacted = ""
        self.has_arguments = False


class ConverseStreamDecoder:
    """A :class:`~proxy.translation.dialects.base.StreamDecoder`."""

    def __init__(self) -> None:
        self._open: dict[int, _OpenBlock] = {}
        self._started = False
        self._ended = False
        self._has_calls = False
        self._call_ids: set[str] = set()
        self._stop: str | None = None
        self._handlers: dict[str, Callable[[_Event], list[Event]]] = {
            "contentBlockDelta": self._on_delta,
            "contentBlockStart": self._on_start,
            "contentBlockStop": self._on_stop,
            "messageStart": lambda _event: self._ensure_started(),
            "messageStop": self._on_message_stop,
            "metadata": self._on_metadata,
        }

    def feed(self, frame: Frame) -> list[Event]:
        if self._ended:
            return []
        if is_exception(frame.event):
            return self._fail(stream_failure(frame.event, frame.data))
        handler = self._handlers.get(frame.event)
        if handler is None:
            return []
        try:
            event = _EVENT.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            try:
                event = _EVENT.decode(replace_lone_surrogates(frame.data))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                return self._fail(Failure(kind="bad_gateway", message="The upstream stream contains an invalid event"))
        return handler(event)

    def close(self) -> list[Event]:
        """The end: complete after ``messageStop``, also without ``metadata``."""
        if self._ended:
            return []
        if self._stop is None:
            return self._fail(Failure(kind="network", message="The upstream stream ended before the message was complete"))
        return self._finish()

    # --- one method per event ----------------------------------------------------------------------------------------

    def _on_start(self, event: _Event) -> list[Event]:
        call = event.start.toolUse if event.start is not None else None
        events = self._ensure_started()
        if call is None or call.type is not None:
            self._open[event.contentBlockIndex] = _OpenBlock("other" if event.start is not None and event.start.toolUse else "")
            return events
        self._open[event.contentBlockIndex] = _OpenBlock("call")
        call_id = "" if call.toolUseId in self._call_ids else call.toolUseId
        self._call_ids.add(call_id)
        self._has_calls = True
        return [*events, PartStarted(event.contentBlockIndex, ToolCall(call_id, call.name, ""))]

    def _on_delta(self, event: _Event) -> list[Event]:
        delta, index = event.delta, event.contentBlockIndex
        if delta is None:
            return []
        events = self._ensure_started()
        if delta.text:
            self._ensure_open(index, "text", events)
            events.append(PartDelta(index, delta.text))
        elif delta.toolUse is not None and delta.toolUse.input and index in self._open and self._open[index].kind == "call":
            self._open[index].has_arguments = True
            events.append(PartDelta(index, delta.toolUse.input))
        elif delta.reasoningContent is not None:
            self._add_reasoning(index, delta.reasoningContent, events)
        elif delta.citation is not None:
            self._ensure_open(index, "text", events)
            events.append(Cited(index, decode_citation(delta.citation)))
        return events

    def _add_reasoning(self, index: int, delta: _ReasoningDelta, events: list[Event]) -> None:
        if delta.redactedContent is not None:
            block = self._open.setdefault(index, _OpenBlock(""))
            block.kind, block.redacted = "redacted", block.redacted + delta.redactedContent
            return
        self._ensure_open(index, "reasoning", events)
        if delta.text:
            events.append(PartDelta(index, delta.text))
        if delta.signature:
            self._open[index].signature += delta.signature

    def _on_stop(self, event: _Event) -> list[Event]:
        block = self._open.pop(event.contentBlockIndex, None)
        return [] if block is None else _ended(event.contentBlockIndex, block)

    def _on_message_stop(self, event: _Event) -> list[Event]:
        self._stop = event.stopReason or "end_turn"
        failure = failure_of_stop(self._stop)
        return [] if failure is None else self._fail(failure)

    def _on_metadata(self, event: _Event) -> list[Event]:
        events = self._ensure_started()
        if event.usage is not None:
            events.append(UsageReported(decode_usage(event.usage, event.serviceTier)))
        return events if self._stop is None else [*events, *self._finish()]

    # --- parts -------------------------------------------------------------------------------------------------------

    def _ensure_started(self) -> list[Event]:
        if self._started:
            return []
        self._started = True
        return [Started()]

    def _ensure_open(self, index: int, kind: str, events: list[Event]) -> None:
        block = self._open.setdefault(index, _OpenBlock(""))
        if block.kind != kind:
            block.kind = kind
            events.append(PartStarted(index, _PARTS[kind]))

    def _finish(self) -> list[Event]:
        self._ended = True
        events = self._ensure_started()
        for index in sorted(self._open):
            events += _ended(index, self._open[index])
        events.append(Finished(decode_finish(self._stop, has_calls=self._has_calls)))
        return events

    def _fail(self, failure: Failure) -> list[Event]:
        self._ended = True
        return [Failed(failure)]


def _ended(index: int, block: _OpenBlock) -> list[Event]:
    if block.kind == "text":
        return [PartEnded(index)]
    if block.kind == "call":
        return [PartEnded(index)] if block.has_arguments else [PartDelta(index, "{}"), PartEnded(index)]
    if block.kind == "reasoning":
        return [PartEnded(index, Seal(FAMILY, "", {"signature": block.signature} if block.signature else {}))]
    if block.kind == "redacted":
        return [PartStarted(index, Reasoning("", Seal(FAMILY, "", {"redacted": block.redacted}))), PartEnded(index)]
    return []


def decoder(quirks: Quirks) -> ConverseStreamDecoder:  # noqa: ARG001 -- every dialect's decoder takes the quirks
    """A decoder for one upstream stream; no quirk concerns one."""
    return ConverseStreamDecoder()

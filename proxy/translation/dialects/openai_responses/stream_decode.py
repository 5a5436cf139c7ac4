"""An upstream's stream, as canonical events (wire formats, section 9.5).

Servers tell the same thing several times: as deltas, in a ``done`` event, in the finished item, in the finished response.
Whatever comes first is passed on; a later, longer telling gives the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation.canonical import Event, Failed, Finished, Started, UsageReported, settled
from proxy.translation.dialects.base import StreamDecoder
from proxy.translation.dialects.openai_responses.response_decode_items import ResponseOnWire, failure_of, finish_of, logprobs_of, usage_of
from proxy.translation.dialects.openai_responses.stream_decode_items import CallReader, ItemReader, MessageReader, ReasoningReader, Shared
from proxy.translation.dialects.openai_responses.wire import NO_JSON, ContentPart, Item
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import Quirks


class _EventOnWire(msgspec.Struct):
    """The fields of all events that are read."""

    type: str = ""
    delta: str | None = None
    item_id: str | None = None
    output_index: int | None = None
    content_index: int | None = None
    summary_index: int | None = None
    text: str | None = None
    arguments: str | None = None
    input: str | None = None
    refusal: str | None = None
    name: str | None = None
    logprobs: msgspec.Raw = NO_JSON
    annotation: msgspec.Raw = NO_JSON
    item: Item | None = None
    part: ContentPart | None = None
    response: ResponseOnWire | None = None
    code: Any = None
    message: Any = None
    error: Any = None


class _Head(msgspec.Struct):
    type: str = ""


_EVENT_DECODER = msgspec.json.Decoder(_EventOnWire)
_HEAD_DECODER = msgspec.json.Decoder(_Head)

_READERS: dict[str | None, Callable[[Shared], ItemReader]] = {
    "message": MessageReader,
    "function_call": CallReader,
    "custom_tool_call": CallReader,
    "reasoning": ReasoningReader,
}
_EMPTY_RESPONSE = ResponseOnWire()


class Decoder:
    """Reads one stream."""

    def __init__(self, quirks: Quirks) -> None:  # noqa: ARG002 - no quirk concerns these streams
        self._shared = Shared()
        self._items: dict[int, ItemReader] = {}
        self._index_of: dict[str, int] = {}
        self._started = False
        self._over = False
        text, refusal = self._text_delta, self._refusal_delta
        self._step: dict[str, Callable[[_EventOnWire], list[Event]]] = {
            "response.output_text.delta": text,
            "response.output_text.done": self._text_done,
            "response.refusal.delta": refusal,
            "response.refusal.done": self._refusal_done,
            "response.output_text.annotation.added": self._annotation,
            "response.content_part.done": self._part_done,
            "response.function_call_arguments.delta": self._call_delta,
            "response.function_call_arguments.done": self._call_done,
            "response.custom_tool_call_input.delta": self._call_delta,
            "response.custom_tool_call_input.done": self._call_done,
            "response.reasoning_summary_text.delta": self._summary_delta,
            "response.reasoning_summary_text.done": self._summary_done,
            "response.reasoning_text.delta": self._reasoning_delta,
            "response.reasoning_text.done": self._reasoning_done,
            "response.output_item.added": self._item_added,
            "response.output_item.done": self._item_done,
            "response.created": self._lifecycle,
            "response.in_progress": self._lifecycle,
            "response.queued": self._lifecycle,
            "response.completed": self._terminal,
            "response.incomplete": self._terminal,
            "response.done": self._terminal,
            "response.failed": self._response_failed,
            "response.cancelled": self._response_failed,
            "error": self._error,
            "response.error": self._error,
            "": self._untyped,
        }

    def feed(self, frame: Frame) -> list[Event]:
        """The events that one frame tells."""
        if self._over:
            return []
        try:
            event = _EVENT_DECODER.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._unreadable(frame)
        step = self._step.get(event.type or frame.event)
        if step is None:
            return []
        events = step(event)
        if not self._started and events:
            return self._opened(events)
        return events

    def close(self) -> list[Event]:
        """At the end of the bytes."""
        if self._over:
            return []
        return self._fail(Failure(kind="network", message="the upstream's stream ended before the response was complete"))

    def _opened(self, events: list[Event]) -> list[Event]:
        self._started = True
        return events if isinstance(events[0], Started | Failed) else [Started(), *events]

    def _unreadable(self, frame: Frame) -> list[Event]:
        """Kinds of events that nobody knows may look as they like; ``[DONE]`` does not belong here and says nothing."""
        try:
            kind = _HEAD_DECODER.decode(frame.data).type or frame.event
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            kind = ""
            if frame.data.strip() == b"[DONE]":
                return []
        if kind and kind not in self._step:
            return []
        return self._fail(Failure(kind="bad_gateway", message="the upstream's stream holds an event that cannot be read"))

    def _fail(self, failure: Failure) -> list[Event]:
        self._over = True
        return [Failed(failure)]

    # --- finding the item of an event ------------------------------------------------------------------------------

    def _index(self, event: _EventOnWire) -> int:
        """The output index; servers that leave it out are followed by the item's id, or taken to mean the newest item."""
        if event.output_index is not None:
            return event.output_index
        item_id = event.item_id or (event.item.id if event.item else None) or ""
        known = self._index_of.get(item_id)
        if known is not None:
            return known
        newest = max(self._items, default=-1)
        if event.item is None or event.type == "response.output_item.done":
            return max(newest, 0)
        self._index_of[item_id] = newest + 1
        return newest + 1

    def _reader(self, event: _EventOnWire, kind: str) -> Any:
        """The reader of the event's item; an event for an item that was never announced announces it."""
        index = event.output_index
        reader = self._items.get(index) if index is not None else None
        if reader is None:
            index = self._index(event)
            reader = self._items.get(index)
            if reader is None:
                reader = self._items[index] = _READERS[kind](self._shared)
        return reader if reader.takes(kind) else None

    # --- text ------------------------------------------------------------------------------------------------------

    def _text_delta(self, event: _EventOnWire) -> list[Event]:
        reader = self._reader(event, "message")
        if reader is None or not event.delta:
            return []
        logprobs = () if event.logprobs is NO_JSON else logprobs_of(event.logprobs)
        return reader.delta(event.content_index or 0, event.delta, logprobs)  # type: ignore[no-any-return]

    def _refusal_delta(self, event: _EventOnWire) -> list[Event]:
        reader = self._reader(event, "message")
        return reader.delta(event.content_index or 0, event.delta, refusal=True) if reader and event.delta else []

    def _text_done(self, event: _EventOnWire) -> list[Event]:
        return self._rest(event, event.text, refusal=False)

    def _refusal_done(self, event: _EventOnWire) -> list[Event]:
        return self._rest(event, event.refusal, refusal=True)

    def _rest(self, event: _EventOnWire, whole: str | None, *, refusal: bool) -> list[Event]:
        reader = self._reader(event, "message")
        return reader.rest(event.content_index or 0, whole, refusal=refusal) if reader and whole else []

    def _annotation(self, event: _EventOnWire) -> list[Event]:
        reader = self._reader(event, "message")
        return reader.cite(event.content_index or 0, event.annotation) if reader and event.annotation != NO_JSON else []

    def _part_done(self, event: _EventOnWire) -> list[Event]:
        if event.part is None or event.part.type not in ("output_text", "refusal"):
            return []
        reader = self._reader(event, "message")
        return reader.part_done(event.content_index or 0, event.part) if reader else []

    # --- calls -----------------------------------------------------------------------------------------------------

    def _call_delta(self, event: _EventOnWire) -> list[Event]:
        reader = self._reader(event, "function_call")
        return reader.delta(event.delta) if reader and event.delta else []

    def _call_done(self, event: _EventOnWire) -> list[Event]:
        reader = self._reader(event, "function_call")
        whole = event.arguments if event.arguments is not None else event.input
        return reader.rest(whole or "") if reader else []

    # --- reasoning -------------------------------------------------------------------------------------------------

    def _summary_delta(self, event: _EventOnWire) -> list[Event]:
        reader = self._reader(event, "reasoning")
        return reader.delta("summary", event.summary_index or 0, event.delta) if reader and event.delta else []

    def _summary_done(self, event: _EventOnWire) -> list[Event]:
        reader = self._reader(event, "reasoning")
        return reader.rest("summary", event.summary_index or 0, event.text) if reader and event.text else []

    def _reasoning_delta(self, event: _EventOnWire) -> list[Event]:
        reader = self._reader(event, "reasoning")
        return reader.delta("content", event.content_index or 0, event.delta) if reader and event.delta else []

    def _reasoning_done(self, event: _EventOnWire) -> list[Event]:
        reader = self._reader(event, "reasoning")
        return reader.rest("content", event.content_index or 0, event.text) if reader and event.text else []

    # --- items and the response ------------------------------------------------------------------------------------

    def _item_added(self, event: _EventOnWire) -> list[Event]:
        if event.item is None:
            return []
        index = self._index(event)
        if index in self._items:
            return []
        reader = self._items[index] = self._new_reader(event.item)
        if event.item.id:
            self._index_of[event.item.id] = index
        return reader.added(event.item)

    def _new_reader(self, item: Item) -> ItemReader:
        return _READERS.get(item.type, ItemReader)(self._shared)

    def _item_done(self, event: _EventOnWire) -> list[Event]:
        if event.item is None:
            return []
        return self._whole_item(self._index(event), event.item)

    def _whole_item(self, index: int, item: Item) -> list[Event]:
        reader = self._items.get(index)
        if reader is None:
            reader = self._items[index] = self._new_reader(item)
        if reader.is_done or not reader.takes(item.type or ""):
            return []
        return reader.done(item)

    def _lifecycle(self, event: _EventOnWire) -> list[Event]:
        if self._started:
            return []
        response = event.response or _EMPTY_RESPONSE
        return [Started(response.id or "", response.model or "")]

    def _terminal(self, event: _EventOnWire) -> list[Event]:
        response = event.response or _EMPTY_RESPONSE
        if response.error or response.status in ("failed", "cancelled"):
            return self._response_failed(event)
        self._over = True
        events: list[Event] = [] if self._started else [Started(response.id or "", response.model or "")]
        newest = max(self._items, default=-1)
        for index, item in enumerate(response.output or ()):
            if index in self._items or index > newest:
                events += self._whole_item(index, item)
        for index in sorted(self._items):
            events += self._items[index].close()
        usage = usage_of(response)
        if usage is not None:
            events.append(UsageReported(usage))
        if event.type == "response.incomplete" and response.status is None:
            response.status = "incomplete"
        finish = finish_of(response, refused=self._shared.refused and not self._shared.has_calls)
        events.append(Finished(settled(finish, has_calls=self._shared.has_calls)))
        return events

    def _response_failed(self, event: _EventOnWire) -> list[Event]:
        response = event.response or _EMPTY_RESPONSE
        usage = usage_of(response)
        reported: list[Event] = [] if usage is None else [UsageReported(usage)]
        return reported + self._fail(failure_of(response.error or event.error or "the upstream's response failed"))

    def _error(self, event: _EventOnWire) -> list[Event]:
        given = event.error if isinstance(event.error, dict) else {"message": event.message, "code": event.code}
        return self._fail(failure_of(given))

    def _untyped(self, event: _EventOnWire) -> list[Event]:
        """Gateways in between send ``{"error": …}`` without any type."""
        return self._fail(failure_of(event.error)) if event.error else []


def decoder(quirks: Quirks) -> StreamDecoder:
    """A new stream machine."""
    return Decoder(quirks)

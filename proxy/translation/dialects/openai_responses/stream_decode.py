"""Decodes the stream of a Responses upstream (docs/wire-formats.md, sections 3.5 and 9.5).

Servers send the same content several times: in deltas, in a ``done`` event, in the finished item and in the finished response. The
decoder emits what comes first; of a later and longer version it emits the rest.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec

from proxy.translation.canonical import Event, Failed, Finished, Started, UsageReported, settled
from proxy.translation.dialects.base import StreamDecoder
from proxy.translation.dialects.openai_responses.response_decode_items import (
    NativeItems,
    RawOutput,
    WireResponse,
    decode_failure,
    decode_finish,
    decode_logprobs,
    decode_response_usage,
)
from proxy.translation.dialects.openai_responses.stream_decode_items import (
    CallReader,
    ItemReader,
    MessageReader,
    NativeReader,
    ReasoningReader,
    StreamState,
)
from proxy.translation.dialects.openai_responses.wire import JSON_NULL, ContentPart, Item
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import Quirks


class _WireEvent(msgspec.Struct):
    """The used fields of all types of events."""

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
    logprobs: msgspec.Raw = JSON_NULL
    annotation: msgspec.Raw = JSON_NULL
    item: Item | None = None
    part: ContentPart | None = None
    response: WireResponse | None = None
    code: Any = None
    message: Any = None
    error: Any = None


class _Head(msgspec.Struct):
    type: str = ""


class _RawItem(msgspec.Struct):
    item: msgspec.Raw


class _RawTerminal(msgspec.Struct):
    response: RawOutput


_RAW_ITEM_DECODER = msgspec.json.Decoder(_RawItem)
_RAW_TERMINAL_DECODER = msgspec.json.Decoder(_RawTerminal)
_EVENT_DECODER = msgspec.json.Decoder(_WireEvent)
_HEAD_DECODER = msgspec.json.Decoder(_Head)

_READERS: dict[str | None, Callable[[StreamState], ItemReader]] = {
    "message": MessageReader,
    "function_call": CallReader,
    "custom_tool_call": CallReader,
    "reasoning": ReasoningReader,
}
_EMPTY_RESPONSE = WireResponse()


class ResponsesStreamDecoder:
    """Decodes one stream. Each item has a reader, found by the item's id, or else by its output index.

    Servers number all items 0, count from 1, leave the indices out, or change the ids from event to event; an id that is known is
    therefore trusted before an index, and an unknown id is not. ``_readers``: in the order in which the items began.
    """

    def __init__(self, quirks: Quirks) -> None:  # noqa: ARG002 - no quirk applies
        self._state = StreamState()
        self._readers: list[ItemReader] = []
        self._by_id: dict[str, ItemReader] = {}
        self._by_id_and_index: dict[tuple[str, int | None], ItemReader] = {}
        self._by_index: dict[int, ItemReader] = {}
        self._frame = b""
        self._started = False
        self._ended = False
        text, refusal = self._on_text_delta, self._on_refusal_delta
        self._handlers: dict[str, Callable[[_WireEvent], list[Event]]] = {
            "response.output_text.delta": text,
            "response.output_text.done": self._on_text_done,
            "response.refusal.delta": refusal,
            "response.refusal.done": self._on_refusal_done,
            "response.output_text.annotation.added": self._on_annotation,
            "response.content_part.done": self._on_part_done,
            "response.function_call_arguments.delta": self._on_call_delta,
            "response.function_call_arguments.done": self._on_call_done,
            "response.custom_tool_call_input.delta": self._on_call_delta,
            "response.custom_tool_call_input.done": self._on_call_done,
            "response.reasoning_summary_text.delta": self._on_summary_delta,
            "response.reasoning_summary_text.done": self._on_summary_done,
            "response.reasoning_text.delta": self._on_reasoning_delta,
            "response.reasoning_text.done": self._on_reasoning_done,
            "response.output_item.added": self._on_item_added,
            "response.output_item.done": self._on_item_done,
            "response.created": self._on_lifecycle,
            "response.in_progress": self._on_lifecycle,
            "response.queued": self._on_lifecycle,
            "response.completed": self._on_terminal,
            "response.incomplete": self._on_terminal,
            "response.done": self._on_terminal,
            "response.failed": self._on_response_failed,
            "response.cancelled": self._on_response_failed,
            "error": self._on_error,
            "response.error": self._on_error,
            "": self._on_untyped,
        }

    def feed(self, frame: Frame) -> list[Event]:
        """The events of one frame; none after ``Finished`` or ``Failed``."""
        if self._ended:
            return []
        try:
            event = _EVENT_DECODER.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._on_undecodable(frame)
        handler = self._handlers.get(event.type or frame.event)
        if handler is None:
            return []
        self._frame = frame.data
        events = handler(event)
        if not self._started and events:
            return self._with_started(events)
        return events

    def close(self) -> list[Event]:
        """The failure of a stream that ended without a terminal event."""
        if self._ended:
            return []
        return self._fail(Failure(kind="network", message="The upstream stream ended before the response was complete."))

    def _with_started(self, events: list[Event]) -> list[Event]:
        self._started = True
        return events if isinstance(events[0], Started | Failed) else [Started(), *events]

    def _on_undecodable(self, frame: Frame) -> list[Event]:
        """A frame that does not match ``_WireEvent``: a failure, unless its type is unknown or it is ``[DONE]`` of a Chat-like server."""
        try:
            kind = _HEAD_DECODER.decode(frame.data).type or frame.event
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            kind = ""
            if frame.data.strip() == b"[DONE]":
                return []
        if kind and kind not in self._handlers:
            return []
        return self._fail(Failure(kind="bad_gateway", message="An event of the upstream stream cannot be decoded."))

    def _fail(self, failure: Failure) -> list[Event]:
        self._ended = True
        return [Failed(failure)]

    # --- the item of an event --------------------------------------------------------------------------------------

    def _find(self, item_id: str | None, index: int | None) -> ItemReader | None:
        """The reader of an item that began before; without an index the newest one."""
        if item_id:
            reader = self._by_id_and_index.get((item_id, index)) or self._by_id.get(item_id)
            if reader is not None:
                return reader
        if index is not None:
            return self._by_index.get(index)
        return self._readers[-1] if self._readers else None

    def _add(self, kind: str | None, item_id: str | None, index: int | None) -> ItemReader:
        reader = _READERS.get(kind, NativeReader)(self._state)
        self._readers.append(reader)
        self._by_index[len(self._readers) - 1 if index is None else index] = reader
        if item_id:
            self._by_id[item_id] = self._by_id_and_index[item_id, index] = reader
        return reader

    def _reader(self, event: _WireEvent, kind: str) -> Any:
        """The reader of the event's item, created if the item was not added before; ``None`` if the item is of another kind."""
        reader = self._find(event.item_id, event.output_index)
        if reader is None:
            reader = self._add(kind, event.item_id, event.output_index)
        return reader if reader.takes(kind) else None

    # --- text ------------------------------------------------------------------------------------------------------

    def _on_text_delta(self, event: _WireEvent) -> list[Event]:
        reader = self._reader(event, "message")
        if reader is None or not event.delta:
            return []
        logprobs = () if event.logprobs is JSON_NULL else decode_logprobs(event.logprobs)
        return reader.delta(event.content_index or 0, event.delta, logprobs)  # type: ignore[no-any-return]

    def _on_refusal_delta(self, event: _WireEvent) -> list[Event]:
        reader = self._reader(event, "message")
        return reader.delta(event.content_index or 0, event.delta, refusal=True) if reader and event.delta else []

    def _on_text_done(self, event: _WireEvent) -> list[Event]:
        return self._text_rest(event, event.text, refusal=False)

    def _on_refusal_done(self, event: _WireEvent) -> list[Event]:
        return self._text_rest(event, event.refusal, refusal=True)

    def _text_rest(self, event: _WireEvent, whole: str | None, *, refusal: bool) -> list[Event]:
        reader = self._reader(event, "message")
        return reader.rest(event.content_index or 0, whole, refusal=refusal) if reader and whole else []

    def _on_annotation(self, event: _WireEvent) -> list[Event]:
        reader = self._reader(event, "message")
        return reader.cite(event.content_index or 0, event.annotation) if reader and event.annotation != JSON_NULL else []

    def _on_part_done(self, event: _WireEvent) -> list[Event]:
        if event.part is None or event.part.type not in ("output_text", "refusal"):
            return []
        reader = self._reader(event, "message")
        return reader.part_done(event.content_index or 0, event.part) if reader else []

    # --- calls -----------------------------------------------------------------------------------------------------

    def _on_call_delta(self, event: _WireEvent) -> list[Event]:
        reader = self._reader(event, "function_call")
        return reader.delta(event.delta) if reader and event.delta else []

    def _on_call_done(self, event: _WireEvent) -> list[Event]:
        reader = self._reader(event, "function_call")
        whole = event.arguments if event.arguments is not None else event.input
        return reader.rest(whole or "") if reader else []

    # --- reasoning -------------------------------------------------------------------------------------------------

    def _on_summary_delta(self, event: _WireEvent) -> list[Event]:
        reader = self._reader(event, "reasoning")
        return reader.delta("summary", event.summary_index or 0, event.delta) if reader and event.delta else []

    def _on_summary_done(self, event: _WireEvent) -> list[Event]:
        reader = self._reader(event, "reasoning")
        return reader.rest("summary", event.summary_index or 0, event.text) if reader and event.text else []

    def _on_reasoning_delta(self, event: _WireEvent) -> list[Event]:
        reader = self._reader(event, "reasoning")
        return reader.delta("content", event.content_index or 0, event.delta) if reader and event.delta else []

    def _on_reasoning_done(self, event: _WireEvent) -> list[Event]:
        reader = self._reader(event, "reasoning")
        return reader.rest("content", event.content_index or 0, event.text) if reader and event.text else []

    # --- items and the response ------------------------------------------------------------------------------------

    def _on_item_added(self, event: _WireEvent) -> list[Event]:
        if event.item is None or self._was_added(event.item, event.output_index):
            return []
        return self._add(event.item.type, event.item.id, event.output_index).added(event.item)

    def _was_added(self, item: Item, index: int | None) -> bool:
        """Whether the item began before: by its id, or, if it has none, by an index at which an item is still open."""
        if item.id:
            return (item.id, index) in self._by_id_and_index
        reader = None if index is None else self._by_index.get(index)
        return reader is not None and not reader.is_done

    def _on_item_done(self, event: _WireEvent) -> list[Event]:
        item = event.item
        if item is None:
            return []
        reader = self._find(item.id, event.output_index)
        if reader is None or (event.output_index is None and not reader.takes(item.type or "")):
            reader = self._add(item.type, item.id, event.output_index)
        return _read_whole(reader, item, lambda: _RAW_ITEM_DECODER.decode(self._frame).item)

    def _final_reader(self, position: int, item: Item) -> ItemReader | None:
        """The reader of an item in the final output; a new one for an item behind all that were streamed, else ``None``."""
        candidates = [self._by_id_and_index.get((item.id or "", position)), self._by_id.get(item.id or ""), self._by_index.get(position)]
        candidates += self._readers[position : position + 1]
        reader = next((reader for reader in candidates if reader is not None and reader.takes(item.type or "")), None)
        if reader is None and position >= len(self._readers) and position not in self._by_index:
            reader = self._add(item.type, item.id, position)
        return reader

    def _on_lifecycle(self, event: _WireEvent) -> list[Event]:
        if self._started:
            return []
        response = event.response or _EMPTY_RESPONSE
        return [Started(response.id or "", response.model or "")]

    def _on_terminal(self, event: _WireEvent) -> list[Event]:
        response = event.response or _EMPTY_RESPONSE
        if response.error or response.status in ("failed", "cancelled"):
            return self._on_response_failed(event)
        self._ended = True
        events: list[Event] = [] if self._started else [Started(response.id or "", response.model or "")]
        natives = NativeItems(lambda: _RAW_TERMINAL_DECODER.decode(self._frame).response.output)
        for position, item in enumerate(response.output or ()):
            reader = self._final_reader(position, item)
            events += _read_whole(reader, item, partial(natives.item, position)) if reader is not None else []
        for reader in self._readers:
            events += reader.close()
        usage = decode_response_usage(response)
        if usage is not None:
            events.append(UsageReported(usage))
        if event.type == "response.incomplete" and response.status is None:
            response.status = "incomplete"
        finish = decode_finish(response, refused=self._state.refused and not self._state.has_calls)
        events.append(Finished(settled(finish, has_calls=self._state.has_calls)))
        return events

    def _on_response_failed(self, event: _WireEvent) -> list[Event]:
        response = event.response or _EMPTY_RESPONSE
        usage = decode_response_usage(response)
        usage_events: list[Event] = [] if usage is None else [UsageReported(usage)]
        return usage_events + self._fail(decode_failure(response.error or event.error or "The upstream response failed."))

    def _on_error(self, event: _WireEvent) -> list[Event]:
        error = event.error if isinstance(event.error, dict) else {"message": event.message, "code": event.code}
        return self._fail(decode_failure(error))

    def _on_untyped(self, event: _WireEvent) -> list[Event]:
        """An event without a type: proxies in between send ``{"error": …}``."""
        return self._fail(decode_failure(event.error)) if event.error else []


def _read_whole(reader: ItemReader, item: Item, native: Callable[[], msgspec.Raw]) -> list[Event]:
    """The events for what was not yet emitted of ``item``; none if the reader has read it, or reads items of another kind."""
    return [] if reader.is_done or not reader.takes(item.type or "") else reader.done(item, native)


def decoder(quirks: Quirks) -> StreamDecoder:
    """A decoder for one stream."""
    return ResponsesStreamDecoder(quirks)

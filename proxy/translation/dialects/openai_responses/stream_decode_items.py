"""Readers of the items in a stream of a Responses upstream. Each one knows how much of its item it has emitted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from proxy.translation.canonical import Cited, Event, PartDelta, PartEnded, PartStarted, Reasoning, Text
from proxy.translation.dialects.openai_responses.response_decode_items import (
    call_arguments,
    decode_call,
    decode_citation,
    decode_citations,
    decode_logprobs,
    decode_native,
    decode_text_part,
    reasoning_seal,
    reasoning_text,
)
from proxy.translation.dialects.openai_responses.wire import MAPPED_ITEMS, SUMMARY_SEPARATOR, ContentPart, Item


class StreamState:
    """The state that the readers of one stream share: used call ids, and what the finish depends on."""

    def __init__(self) -> None:
        self.call_ids: set[str] = set()
        self.has_calls = False
        self.refused = False
        self._next_part = 0

    def take_part(self) -> int:
        """The index of a new canonical part."""
        index = self._next_part
        self._next_part += 1
        return index


class ItemReader(Protocol):
    """Reads one item of the output.

    ``is_done``: the whole item was read, and all its parts were ended.
    """

    is_done: bool

    def takes(self, kind: str) -> bool:
        """Whether this reader reads events of items of that kind."""
        ...

    def added(self, item: Item) -> list[Event]:
        """``output_item.added``: most items are empty there."""
        ...

    def done(self, item: Item, native: Callable[[], msgspec.Raw]) -> list[Event]:
        """``output_item.done``: the events for what was not yet emitted, and the end. ``native`` returns the JSON of the item."""
        ...

    def close(self) -> list[Event]:
        """At the end of the response: ``PartEnded`` for the parts that are still open."""
        ...


class NativeReader:
    """Reads an item that only this family knows, of a hosted tool for example: it becomes one part when it is whole."""

    def __init__(self, state: StreamState) -> None:
        self.is_done = False
        self._state = state

    def takes(self, kind: str) -> bool:
        """All kinds without a reader of their own."""
        return kind not in MAPPED_ITEMS

    def added(self, item: Item) -> list[Event]:  # noqa: ARG002 -- the item is not complete yet
        """Nothing: the item is emitted when it is whole."""
        return []

    def done(self, item: Item, native: Callable[[], msgspec.Raw]) -> list[Event]:
        """The whole item."""
        self.is_done = True
        part = decode_native(item, native())
        index = self._state.take_part()
        return [PartStarted(index, part), PartEnded(index)]

    def close(self) -> list[Event]:
        """Nothing: an item that never became whole is left out."""
        return []


class _TextPart:
    """What was emitted of one content part: ``sent_length`` characters and a number of citations."""

    __slots__ = ("citations", "index", "is_open", "sent_length")

    def __init__(self, index: int) -> None:
        self.index = index
        self.sent_length = 0
        self.citations = 0
        self.is_open = True


class MessageReader:
    """Reads a message: texts and refusals by their content index."""

    def __init__(self, state: StreamState) -> None:
        self.is_done = False
        self._state = state
        self._parts: dict[int, _TextPart] = {}

    def takes(self, kind: str) -> bool:
        """Messages alone."""
        return kind == "message"

    def added(self, item: Item) -> list[Event]:  # noqa: ARG002 -- the message is empty
        """Nothing: the parts have events of their own."""
        return []

    def delta(self, content_index: int, text: str, logprobs: tuple[Any, ...] = (), *, refusal: bool = False) -> list[Event]:
        """A text delta of a part."""
        part = self._parts.get(content_index)
        if part is None:
            start_events, part = self._start(content_index, refusal=refusal)
            part.sent_length = len(text)
            return [start_events, PartDelta(part.index, text, logprobs)]
        if not part.is_open:
            return []
        part.sent_length += len(text)
        return [PartDelta(part.index, text, logprobs)]

    def _start(self, content_index: int, *, refusal: bool) -> tuple[Event, _TextPart]:
        part = self._parts[content_index] = _TextPart(self._state.take_part())
        self._state.refused = self._state.refused or refusal
        return PartStarted(part.index, Text("", refusal=refusal)), part

    def rest(self, content_index: int, whole: str, *, refusal: bool = False, logprobs: tuple[Any, ...] = ()) -> list[Event]:
        """The part of ``whole`` that was not yet emitted."""
        part = self._parts.get(content_index)
        sent_length = part.sent_length if part is not None else 0
        if len(whole) <= sent_length:
            return []
        return self.delta(content_index, whole[sent_length:], logprobs if sent_length == 0 else (), refusal=refusal)

    def cite(self, content_index: int, annotation: msgspec.Raw) -> list[Event]:
        """An annotation of a part; a part that is not open yet is started."""
        citation = decode_citation(annotation)
        if citation is None:
            return []
        part = self._parts.get(content_index)
        start_events: list[Event] = []
        if part is None:
            started, part = self._start(content_index, refusal=False)
            start_events = [started]
        part.citations += 1
        return [*start_events, Cited(part.index, citation)] if part.is_open else []

    def part_done(self, content_index: int, wire_part: ContentPart) -> list[Event]:
        """``content_part.done``: the events for what was not yet emitted of the part, and its end."""
        whole = decode_text_part(wire_part)
        if whole is None:
            return []
        part = self._parts.get(content_index)
        if part is not None and not part.is_open:
            return []
        events = self.rest(content_index, whole.text, refusal=whole.refusal, logprobs=decode_logprobs(wire_part.logprobs))
        citations = decode_citations(wire_part.annotations)
        part = self._parts.get(content_index)
        if part is None:
            if not citations:
                return []
            started, part = self._start(content_index, refusal=False)
            events.append(started)
        events += [Cited(part.index, citation) for citation in citations[part.citations :]]
        part.is_open = False
        return [*events, PartEnded(part.index)]

    def done(self, item: Item, native: Callable[[], msgspec.Raw]) -> list[Event]:  # noqa: ARG002 -- all fields are in ``item``
        """``output_item.done``: the events for what was not yet emitted of the item, and its end.

        Some servers count ``content_index`` on from item to item, so that the first part of this message has another one than 0.
        """
        self.is_done = True
        content = [ContentPart(type="output_text", text=item.content)] if isinstance(item.content, str) else item.content or ()
        first = min(self._parts, default=0) if len(self._parts) == len(content) else 0
        events = [event for position, part in enumerate(content) for event in self.part_done(first + position, part)]
        return events + self.close()

    def close(self) -> list[Event]:
        """``PartEnded`` for what is still open."""
        self.is_done = True
        events: list[Event] = []
        for part in self._parts.values():
            if part.is_open:
                part.is_open = False
                events.append(PartEnded(part.index))
        return events


class CallReader:
    """Reads a call of a function or of a custom tool. Arguments are held back until the name is known."""

    def __init__(self, state: StreamState) -> None:
        self.is_done = False
        self._state = state
        self._index: int | None = None
        self._held_arguments = ""
        self._sent_length = 0

    def takes(self, kind: str) -> bool:
        """Calls of both kinds."""
        return kind in ("function_call", "custom_tool_call")

    def added(self, item: Item) -> list[Event]:
        """``output_item.added``: the call, perhaps with its arguments."""
        events = self._start(item)
        return events + self.rest(call_arguments(item)) if events else events

    def _start(self, item: Item) -> list[Event]:
        if not item.name:
            return []
        head = decode_call(item)
        if head.id in self._state.call_ids:
            head = msgspec.structs.replace(head, id="")
        self._state.call_ids.add(head.id)
        self._state.has_calls = True
        self._index = self._state.take_part()
        held_arguments, self._held_arguments = self._held_arguments, ""
        started = PartStarted(self._index, head)
        return [started, PartDelta(self._index, held_arguments)] if held_arguments else [started]

    def delta(self, text: str) -> list[Event]:
        """A delta of the arguments."""
        if self.is_done:
            return []
        self._sent_length += len(text)
        if self._index is None:
            self._held_arguments += text
            return []
        return [PartDelta(self._index, text)]

    def rest(self, whole: str) -> list[Event]:
        """The part of ``whole`` that was not yet emitted."""
        return self.delta(whole[self._sent_length :]) if len(whole) > self._sent_length else []

    def done(self, item: Item, native: Callable[[], msgspec.Raw]) -> list[Event]:  # noqa: ARG002 -- all fields are in ``item``
        """``output_item.done``: the events for what was not yet emitted of the item, and its end."""
        events = self._start(item) if self._index is None else []
        events += self.rest(call_arguments(item))
        return events + self.close()

    def close(self) -> list[Event]:
        """``PartEnded`` for what is still open."""
        if self.is_done or self._index is None:
            return []
        self.is_done = True
        return [PartEnded(self._index)]


class ReasoningReader:
    """Reads a reasoning item: its summary, or its raw text if that comes first. Several parts become one text."""

    def __init__(self, state: StreamState) -> None:
        self.is_done = False
        self._state = state
        self._index: int | None = None
        self._source: str | None = None
        self._position = 0
        self._sent_length_of_part = 0
        self._sent_length = 0

    def takes(self, kind: str) -> bool:
        """Reasoning alone."""
        return kind == "reasoning"

    def added(self, item: Item) -> list[Event]:  # noqa: ARG002 -- the item is empty
        """Nothing: the text has events of its own."""
        return []

    def delta(self, source: str, position: int, text: str) -> list[Event]:
        """A delta of a part; ``source`` is ``summary`` or ``content``, ``position`` the index of the part there."""
        if self.is_done or self._source not in (None, source):
            return []
        start_events: list[Event] = []
        if self._index is None:
            self._index = self._state.take_part()
            start_events = [PartStarted(self._index, Reasoning(""))]
        elif position != self._position:
            text = SUMMARY_SEPARATOR + text
            self._sent_length_of_part = -len(SUMMARY_SEPARATOR)
        self._source, self._position = source, position
        self._sent_length += len(text)
        self._sent_length_of_part += len(text)
        return [*start_events, PartDelta(self._index, text)]

    def rest(self, source: str, position: int, whole: str) -> list[Event]:
        """The text of a whole part that was not yet emitted."""
        sent_length = self._sent_length_of_part if position == self._position and self._source == source else 0
        if position < self._position or len(whole) <= sent_length:
            return []
        return self.delta(source, position, whole[sent_length:])

    def done(self, item: Item, native: Callable[[], msgspec.Raw]) -> list[Event]:  # noqa: ARG002 -- all fields are in ``item``
        """``output_item.done``: the events for what was not yet emitted of the item, and its end."""
        seal = reasoning_seal(item)
        whole = reasoning_text(item)
        if self._index is None and not whole:
            if seal is None:
                return []
            self._index, self.is_done = self._state.take_part(), True
            return [PartStarted(self._index, Reasoning("", seal)), PartEnded(self._index)]
        events: list[Event] = []
        if len(whole) > self._sent_length:
            events = self.delta(self._source or "summary", self._position, whole[self._sent_length :])
        self.is_done = True
        assert self._index is not None, "the delta above has started the part"
        return [*events, PartEnded(self._index, seal)]

    def close(self) -> list[Event]:
        """``PartEnded`` for what is still open."""
        if self.is_done or self._index is None:
            return []
        self.is_done = True
        return [PartEnded(self._index)]

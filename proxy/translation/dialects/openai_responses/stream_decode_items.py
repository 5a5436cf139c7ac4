"""Readers of the items in an upstream's stream: each keeps what it has passed on of its item."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.canonical import Cited, Event, PartDelta, PartEnded, PartStarted, Reasoning, Text
from proxy.translation.dialects.openai_responses.response_decode_items import (
    call_arguments,
    call_head,
    citation_of,
    citations_of,
    content_part,
    logprobs_of,
    reasoning_seal,
    reasoning_text,
)
from proxy.translation.dialects.openai_responses.wire import SUMMARY_SEPARATOR, ContentPart, Item


class Shared:
    """What the readers of one stream have in common."""

    def __init__(self) -> None:
        self.call_ids: set[str] = set()
        self.has_calls = False
        self.refused = False
        self._next_part = 0

    def take_part(self) -> int:
        """The index of the next canonical part."""
        index = self._next_part
        self._next_part += 1
        return index


class ItemReader:
    """Reads one item; this base reads those of hosted tools and of kinds that nobody knows, which tell nothing.

    ``is_done``: the whole item was read.
    """

    kinds: tuple[str, ...] = ()

    def __init__(self, shared: Shared) -> None:
        self.is_done = False
        self._shared = shared

    def takes(self, kind: str) -> bool:
        """Whether events for items of that kind concern this one."""
        return kind in self.kinds

    def added(self, _item: Item) -> list[Event]:
        """The announced item; most of them tell all they have in later events."""
        return []

    def done(self, _item: Item) -> list[Event]:
        """The whole item: what was missing of it, and its end."""
        return []

    def close(self) -> list[Event]:
        """At the end of the response: the ends of parts that the upstream left open."""
        return []


class _TextPart:
    """What was passed on of one content part."""

    __slots__ = ("citations", "index", "is_open", "told")

    def __init__(self, index: int) -> None:
        self.index = index
        self.told = 0
        self.citations = 0
        self.is_open = True


class MessageReader(ItemReader):
    """A message: texts and refusals by their content index."""

    kinds = ("message",)

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._parts: dict[int, _TextPart] = {}

    def delta(self, content_index: int, text: str, logprobs: tuple[Any, ...] = (), *, refusal: bool = False) -> list[Event]:
        """More words of a part."""
        part = self._parts.get(content_index)
        if part is None:
            begun, part = self._begin(content_index, refusal=refusal)
            part.told = len(text)
            return [begun, PartDelta(part.index, text, logprobs)]
        if not part.is_open:
            return []
        part.told += len(text)
        return [PartDelta(part.index, text, logprobs)]

    def _begin(self, content_index: int, *, refusal: bool) -> tuple[Event, _TextPart]:
        part = self._parts[content_index] = _TextPart(self._shared.take_part())
        self._shared.refused = self._shared.refused or refusal
        return PartStarted(part.index, Text("", refusal=refusal)), part

    def rest(self, content_index: int, whole: str, *, refusal: bool = False, logprobs: tuple[Any, ...] = ()) -> list[Event]:
        """What ``whole`` has more than was passed on."""
        part = self._parts.get(content_index)
        told = part.told if part is not None else 0
        if len(whole) <= told:
            return []
        return self.delta(content_index, whole[told:], logprobs if told == 0 else (), refusal=refusal)

    def cite(self, content_index: int, annotation: msgspec.Raw) -> list[Event]:
        """An annotation of a part."""
        citation = citation_of(annotation)
        if citation is None:
            return []
        part = self._parts.get(content_index)
        begun: list[Event] = []
        if part is None:
            started, part = self._begin(content_index, refusal=False)
            begun = [started]
        part.citations += 1
        return [*begun, Cited(part.index, citation)] if part.is_open else []

    def part_done(self, content_index: int, given: ContentPart) -> list[Event]:
        """The whole part: what was missing of it, and its end."""
        whole = content_part(given)
        if whole is None:
            return []
        known = self._parts.get(content_index)
        if known is not None and not known.is_open:
            return []
        events = self.rest(content_index, whole.text, refusal=whole.refusal, logprobs=logprobs_of(given.logprobs))
        citations = citations_of(given.annotations)
        part = self._parts.get(content_index)
        if part is None:
            if not citations:
                return []
            started, part = self._begin(content_index, refusal=False)
            events.append(started)
        events += [Cited(part.index, citation) for citation in citations[part.citations :]]
        part.is_open = False
        return [*events, PartEnded(part.index)]

    def done(self, item: Item) -> list[Event]:
        """The whole item: what was missing of it, and its end."""
        self.is_done = True
        events: list[Event] = []
        if isinstance(item.content, str):
            events += self.rest(0, item.content)
        else:
            for content_index, part in enumerate(item.content or ()):
                events += self.part_done(content_index, part)
        return events + self.close()

    def close(self) -> list[Event]:
        """The ends of what the upstream left open."""
        self.is_done = True
        ended: list[Event] = []
        for part in self._parts.values():
            if part.is_open:
                part.is_open = False
                ended.append(PartEnded(part.index))
        return ended


class CallReader(ItemReader):
    """A call of a function or a custom tool; it is passed on as soon as its name is known."""

    kinds = ("function_call", "custom_tool_call")

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._index: int | None = None
        self._held = ""
        self._told = 0

    def added(self, item: Item) -> list[Event]:
        """The announced call, perhaps with its arguments."""
        events = self._begin(item)
        return events + self.rest(call_arguments(item)) if events else events

    def _begin(self, item: Item) -> list[Event]:
        if not item.name:
            return []
        head = call_head(item)
        if head.id in self._shared.call_ids:
            head = msgspec.structs.replace(head, id="")
        self._shared.call_ids.add(head.id)
        self._shared.has_calls = True
        self._index = self._shared.take_part()
        held, self._held = self._held, ""
        started = PartStarted(self._index, head)
        return [started, PartDelta(self._index, held)] if held else [started]

    def delta(self, text: str) -> list[Event]:
        """More of the arguments; held back until the name is known."""
        if self.is_done:
            return []
        self._told += len(text)
        if self._index is None:
            self._held += text
            return []
        return [PartDelta(self._index, text)]

    def rest(self, whole: str) -> list[Event]:
        """What ``whole`` has more than was passed on."""
        return self.delta(whole[self._told :]) if len(whole) > self._told else []

    def done(self, item: Item) -> list[Event]:
        """The whole item: what was missing of it, and its end."""
        events = self._begin(item) if self._index is None else []
        events += self.rest(call_arguments(item))
        return events + self.close()

    def close(self) -> list[Event]:
        """The ends of what the upstream left open."""
        if self.is_done or self._index is None:
            return []
        self.is_done = True
        return [PartEnded(self._index)]


class ReasoningReader(ItemReader):
    """A reasoning item: the summary, or the raw text where that comes first; several parts make one text."""

    kinds = ("reasoning",)

    def __init__(self, shared: Shared) -> None:
        super().__init__(shared)
        self._index: int | None = None
        self._source: str | None = None
        self._position = 0
        self._told_of_part = 0
        self._told = 0

    def delta(self, source: str, position: int, text: str) -> list[Event]:
        """More of a part of the summary or of the content."""
        if self.is_done or self._source not in (None, source):
            return []
        begun: list[Event] = []
        if self._index is None:
            self._index = self._shared.take_part()
            begun = [PartStarted(self._index, Reasoning(""))]
        elif position != self._position:
            text = SUMMARY_SEPARATOR + text
            self._told_of_part = -len(SUMMARY_SEPARATOR)
        self._source, self._position = source, position
        self._told += len(text)
        self._told_of_part += len(text)
        return [*begun, PartDelta(self._index, text)]

    def rest(self, source: str, position: int, whole: str) -> list[Event]:
        """What a whole part has more than was passed on of it."""
        told = self._told_of_part if position == self._position and self._source == source else 0
        if position < self._position or len(whole) <= told:
            return []
        return self.delta(source, position, whole[told:])

    def done(self, item: Item) -> list[Event]:
        """The whole item: what was missing of it, and its end."""
        seal = reasoning_seal(item)
        whole = reasoning_text(item)
        if self._index is None and not whole:
            if seal is None:
                return []
            self._index, self.is_done = self._shared.take_part(), True
            return [PartStarted(self._index, Reasoning("", seal)), PartEnded(self._index)]
        events: list[Event] = []
        if len(whole) > self._told:
            events = self.delta(self._source or "summary", self._position, whole[self._told :])
        self.is_done = True
        assert self._index is not None, "a text has begun the part"
        return [*events, PartEnded(self._index, seal)]

    def close(self) -> list[Event]:
        """The ends of what the upstream left open."""
        if self.is_done or self._index is None:
            return []
        self.is_done = True
        return [PartEnded(self._index)]

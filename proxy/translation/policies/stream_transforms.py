"""Streams arranged for the client's eye: calls told only when complete, long texts told in small pieces. Pure.

A transform takes an event and gives those that stand for it, keeping the grammar of :mod:`proxy.translation.canonical`; a chain of them
stands between what the upstream told and what the client is told.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from proxy.translation.canonical import Event, Failed, PartDelta, PartEnded, PartStarted, Reasoning, Text, ToolCall

PIECE_CHARS = 24
"""Longest piece of a smoothed text; a longer word is cut."""
_WORD = re.compile(rf"\S{{1,{PIECE_CHARS}}}\s{{0,2}}|\s{{1,{PIECE_CHARS}}}")


class Transform(Protocol):
    """One machine serves one stream."""

    def feed(self, event: Event) -> list[Event]:
        """The events in place of one."""
        ...


class Chain:
    """Transforms one behind the other."""

    def __init__(self, *transforms: Transform) -> None:
        self._transforms = transforms

    def feed(self, event: Event) -> list[Event]:
        events: list[Event] = [event]
        for transform in self._transforms:
            events = [told for each in events for told in transform.feed(each)]
        return events


def stream_transform(restorer: Transform | None, *, buffered: bool, smooth: bool) -> Transform | None:
    """What stands between decoder and encoder: tools led back, then calls held back, then texts cut; ``None`` for nothing."""
    shaping: list[Transform] = [*([CallBuffer()] if buffered else []), *([Smoother()] if smooth else [])]
    if not shaping:
        return restorer
    return Chain(*([restorer] if restorer is not None else []), *shaping)


def smooth_events(events: Sequence[Event]) -> list[Event]:
    """A whole stream, its texts in small pieces."""
    smoother = Smoother()
    return [told for event in events for told in smoother.feed(event)]


class Smoother:
    """Texts and reasoning in pieces of a few words. Pieces with log probabilities stay whole: those belong to their tokens."""

    def __init__(self) -> None:
        self._smooth: set[int] = set()

    def feed(self, event: Event) -> list[Event]:
        if isinstance(event, PartStarted) and isinstance(event.part, Text | Reasoning):
            self._smooth.add(event.index)
        elif isinstance(event, PartDelta) and event.index in self._smooth and len(event.text) > PIECE_CHARS and not event.logprobs:
            return [PartDelta(event.index, piece) for piece in split_text(event.text)]
        return [event]


def split_text(text: str) -> list[str]:
    """``text`` cut between words into pieces of about :data:`PIECE_CHARS` characters; joined they are the text again."""
    found: list[str] = []
    for match in _WORD.finditer(text):
        word = match[0]
        if found and len(found[-1]) + len(word) <= PIECE_CHARS:
            found[-1] += word
        else:
            found.append(word)
    return found


class CallBuffer:
    """Each tool call in one go, when it is complete. Calls that a broken stream leaves unfinished are never told."""

    def __init__(self) -> None:
        self._heads: dict[int, PartStarted] = {}
        self._arguments: dict[int, list[str]] = {}

    def feed(self, event: Event) -> list[Event]:
        if isinstance(event, PartStarted) and isinstance(event.part, ToolCall):
            self._heads[event.index] = event
            self._arguments[event.index] = []
            return []
        if isinstance(event, PartDelta) and event.index in self._heads:
            self._arguments[event.index].append(event.text)
            return []
        if isinstance(event, PartEnded) and event.index in self._heads:
            arguments = "".join(self._arguments.pop(event.index))
            told: list[Event] = [self._heads.pop(event.index)]
            return [*told, PartDelta(event.index, arguments), event] if arguments else [*told, event]
        if isinstance(event, Failed):
            self._heads.clear()
        return [event]

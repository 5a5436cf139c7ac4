"""Transforms of canonical streams: tool calls sent only when complete, long texts sent in small pieces.

A transform takes an event and returns the events that replace it. The result keeps the grammar of
:mod:`proxy.translation.canonical`. A chain of transforms runs between the decoder and the encoder.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from proxy.translation.canonical import Event, Failed, PartDelta, PartEnded, PartStarted, Reasoning, Text, ToolCall

PIECE_CHARS = 24
"""Longest piece of a smoothed text in characters; a longer word is split."""
_WORD = re.compile(rf"\S{{1,{PIECE_CHARS}}}\s{{0,2}}|\s{{1,{PIECE_CHARS}}}")


class Transform(Protocol):
    """The state of one stream."""

    def feed(self, event: Event) -> list[Event]:
        """The events that replace one."""
        ...


class Chain:
    """Transforms in sequence."""

    def __init__(self, *transforms: Transform) -> None:
        self._transforms = transforms

    def feed(self, event: Event) -> list[Event]:
        events: list[Event] = [event]
        for transform in self._transforms:
            events = [output for event_in in events for output in transform.feed(event_in)]
        return events


def stream_transform(restorer: Transform | None, *, buffered: bool, smooth: bool) -> Transform | None:
    """The transform between decoder and encoder: restore tools, then buffer calls, then split texts; ``None`` without any."""
    shaping: list[Transform] = [*([CallBuffer()] if buffered else []), *([Smoother()] if smooth else [])]
    if not shaping:
        return restorer
    return Chain(*([restorer] if restorer is not None else []), *shaping)


def smooth_events(events: Sequence[Event]) -> list[Event]:
    """A whole stream with its texts in small pieces."""
    smoother = Smoother()
    return [output for event in events for output in smoother.feed(event)]


class Smoother:
    """Sends texts and reasoning in pieces of a few words. A delta with log probabilities stays whole: they belong to its tokens."""

    def __init__(self) -> None:
        self._smooth: set[int] = set()

    def feed(self, event: Event) -> list[Event]:
        if isinstance(event, PartStarted) and isinstance(event.part, Text | Reasoning):
            self._smooth.add(event.index)
        elif isinstance(event, PartDelta) and event.index in self._smooth and len(event.text) > PIECE_CHARS and not event.logprobs:
            return [PartDelta(event.index, piece) for piece in split_text(event.text)]
        return [event]


def split_text(text: str) -> list[str]:
    """``text`` split between words into pieces of about :data:`PIECE_CHARS` characters; joined they give the text."""
    pieces: list[str] = []
    for match in _WORD.finditer(text):
        word = match[0]
        if pieces and len(pieces[-1]) + len(word) <= PIECE_CHARS:
            pieces[-1] += word
        else:
            pieces.append(word)
    return pieces


class CallBuffer:
    """Sends each tool call at once when it is complete. Unfinished calls of a broken stream are not sent."""

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
            head: list[Event] = [self._heads.pop(event.index)]
            return [*head, PartDelta(event.index, arguments), event] if arguments else [*head, event]
        if isinstance(event, Failed):
            self._heads.clear()
        return [event]

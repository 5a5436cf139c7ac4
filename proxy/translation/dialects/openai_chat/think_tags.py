"""Splits ``<think>…</think>`` at the beginning of a content into reasoning and text; local models write their reasoning so.

Only a tag at the very beginning counts, so that a response which merely mentions the tag stays as it is. White space around the
tags belongs to the tags.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import Literal

Piece = tuple[Literal["text", "reasoning"], str]

_OPEN = "<think>"
_CLOSE = "</think>"
_SPACE = " \t\r\n"


class _State(Enum):
    """Where a content has arrived."""

    START = auto()
    """Before a possible tag."""
    OPENED = auto()
    """Behind the tag, before the first reasoning."""
    THINKING = auto()
    CLOSED = auto()
    """Behind the closing tag, before the first text."""
    TEXT = auto()
    """From here to the end."""


class ThinkTags:
    """A splitter for one content, which may arrive in fragments. It returns pieces that are never empty.

    ``_held`` is text that is not yet decided: the beginning of a tag, or white space that may belong to one.
    """

    def __init__(self) -> None:
        self._held = ""
        self._state = _State.START

    def split(self, content: str) -> list[Piece]:
        """The pieces of a whole content: at most one of each kind."""
        texts: dict[Literal["text", "reasoning"], str] = {}
        for kind, text in [*self.feed(content), *self.close()]:
            texts[kind] = texts.get(kind, "") + text
        return list(texts.items())

    def feed(self, fragment: str) -> list[Piece]:
        """Take the next fragment; return the pieces that are decided."""
        if self._state is _State.TEXT:
            return [("text", fragment)] if fragment else []
        self._held += fragment
        pieces: list[Piece] = []
        if self._state is _State.START:
            self._read_start(pieces)
        if self._state in (_State.OPENED, _State.THINKING):
            self._read_reasoning(pieces)
        if self._state is _State.CLOSED:
            self._read_text(pieces)
        return pieces

    def close(self) -> list[Piece]:
        """What is still held at the end of the content: half a tag, or white space."""
        held, self._held = self._held, ""
        if not held or self._state in (_State.OPENED, _State.CLOSED):
            return []
        return [("reasoning" if self._state is _State.THINKING else "text", held)]

    def _read_start(self, pieces: list[Piece]) -> None:
        trimmed = self._held.lstrip(_SPACE)
        if trimmed.startswith(_OPEN):
            self._held = trimmed[len(_OPEN) :]
            self._state = _State.OPENED
        elif not _OPEN.startswith(trimmed):
            pieces.append(("text", self._held))
            self._held = ""
            self._state = _State.TEXT

    def _read_reasoning(self, pieces: list[Piece]) -> None:
        if self._state is _State.OPENED:
            self._held = self._held.lstrip(_SPACE)
            if not self._held:
                return
            self._state = _State.THINKING
        end = self._held.find(_CLOSE)
        if end >= 0:
            reasoning, self._held = self._held[:end].rstrip(_SPACE), self._held[end + len(_CLOSE) :]
            self._state = _State.CLOSED
        else:
            decided = len(self._held) - _undecided_length(self._held)
            reasoning, self._held = self._held[:decided], self._held[decided:]
        if reasoning:
            pieces.append(("reasoning", reasoning))

    def _read_text(self, pieces: list[Piece]) -> None:
        self._held = self._held.lstrip(_SPACE)
        if self._held:
            pieces.append(("text", self._held))
            self._held = ""
            self._state = _State.TEXT


def _undecided_length(reasoning: str) -> int:
    """The number of characters at the end that may be white space and the beginning of the closing tag."""
    start = reasoning.rfind("<")
    tag = len(reasoning) - start if start >= 0 and _CLOSE.startswith(reasoning[start:]) else 0
    body = reasoning[: len(reasoning) - tag]
    return tag + len(body) - len(body.rstrip(_SPACE))

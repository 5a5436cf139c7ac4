"""Reasoning that local models write into their content: ``<think>…</think>`` at its beginning."""

from __future__ import annotations

_OPEN = "<think>"
_CLOSE = "</think>"
_SPACE = " \t\r\n"


class ThinkTags:
    """Feed it content as it comes; it returns ``("reasoning" | "text", words)`` pieces, never empty ones.

    Only a tag at the very beginning counts, so that an answer which merely mentions the tag stays as it is. White space around the
    tags belongs to them.
    """

    def __init__(self) -> None:
        self._held = ""
        self._state = "start"

    def whole(self, content: str) -> list[tuple[str, str]]:
        """The pieces of a content that is there at once, one of each kind at most."""
        told: dict[str, str] = {}
        for kind, words in [*self.feed(content), *self.close()]:
            told[kind] = told.get(kind, "") + words
        return list(told.items())

    def feed(self, words: str) -> list[tuple[str, str]]:
        """The pieces that are certain so far."""
        if self._state == "text":
            return [("text", words)] if words else []
        self._held += words
        told: list[tuple[str, str]] = []
        if self._state == "start":
            self._begin(told)
        if self._state in ("opened", "thinking"):
            self._think(told)
        if self._state == "closed":
            self._resume(told)
        return told

    def close(self) -> list[tuple[str, str]]:
        """What is still held back at the end: half a tag, or white space."""
        held, self._held = self._held, ""
        if not held or self._state in ("opened", "closed"):
            return []
        return [("reasoning" if self._state == "thinking" else "text", held)]

    def _begin(self, told: list[tuple[str, str]]) -> None:
        trimmed = self._held.lstrip(_SPACE)
        if trimmed.startswith(_OPEN):
            self._held = trimmed[len(_OPEN) :]
            self._state = "opened"
        elif not _OPEN.startswith(trimmed):
            told.append(("text", self._held))
            self._held = ""
            self._state = "text"

    def _think(self, told: list[tuple[str, str]]) -> None:
        if self._state == "opened":
            self._held = self._held.lstrip(_SPACE)
            if not self._held:
                return
            self._state = "thinking"
        end = self._held.find(_CLOSE)
        if end >= 0:
            thought, self._held = self._held[:end].rstrip(_SPACE), self._held[end + len(_CLOSE) :]
            self._state = "closed"
        else:
            sure = len(self._held) - _tail_held(self._held)
            thought, self._held = self._held[:sure], self._held[sure:]
        if thought:
            told.append(("reasoning", thought))

    def _resume(self, told: list[tuple[str, str]]) -> None:
        self._held = self._held.lstrip(_SPACE)
        if self._held:
            told.append(("text", self._held))
            self._held = ""
            self._state = "text"


def _tail_held(words: str) -> int:
    """How many characters at the end may be white space and the beginning of the closing tag."""
    start = words.rfind("<")
    tail = len(words) - start if start >= 0 and _CLOSE.startswith(words[start:]) else 0
    body = words[: len(words) - tail]
    return tail + len(body) - len(body.rstrip(_SPACE))

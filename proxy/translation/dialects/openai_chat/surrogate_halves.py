r"""Joins the halves of a surrogate pair that a server wrote into two deltas (docs/wire-formats.md, section 9.1).

Servers that count UTF-16 units cut text and arguments between the halves and write each one as an escape, such as ``\ud83d``. A JSON
decoder refuses a lone half, so only chunks that it refused come here.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

_TEXT_FIELDS = ("content", "reasoning_content", "reasoning", "refusal")
_HIGH = range(0xD800, 0xDC00)


class HalvesJoiner:
    """The first halves of one stream that wait for their second ones, by the field that they stand in."""

    def __init__(self) -> None:
        self._waiting: dict[str, str] = {}

    def joined(self, data: bytes) -> bytes | None:
        """The chunk with its halves joined; a half at the end of a text waits. ``None`` if the chunk holds no escaped half."""
        if b"\\ud" not in data.lower():
            return None
        try:
            chunk = json.loads(data)
        except (ValueError, RecursionError):
            return None
        if not isinstance(chunk, dict):
            return None
        for name, owner, field in _texts(chunk):
            owner[field] = self._join(name, owner[field])
        return json.dumps(chunk).encode("utf-8", "replace")

    @property
    def has_lost_text(self) -> bool:
        """Whether the second half of a character of the text never came."""
        return any(name.endswith(".content") for name in self._waiting)

    def _join(self, name: str, text: str) -> str:
        text = self._waiting.pop(name, "") + text
        if text and ord(text[-1]) in _HIGH:
            self._waiting[name], text = text[-1], text[:-1]
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _texts(chunk: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any], str]]:
    """Each text of the chunk: the name of its place in the stream, the object that holds it, and its field there."""
    choices = chunk.get("choices")
    for choice in choices if isinstance(choices, list) else ():
        delta = choice.get("delta") if isinstance(choice, dict) else None
        if not isinstance(delta, dict):
            continue
        place = f"{choice.get('index')}"
        for field in _TEXT_FIELDS:
            if isinstance(delta.get(field), str):
                yield f"{place}.{field}", delta, field
        calls = delta.get("tool_calls")
        for call in calls if isinstance(calls, list) else ():
            function = call.get("function") if isinstance(call, dict) else None
            if isinstance(function, dict) and isinstance(function.get("arguments"), str):
                yield f"{place}.call.{call.get('index')}", function, "arguments"

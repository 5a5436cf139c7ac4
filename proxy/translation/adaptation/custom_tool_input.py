"""Reads the text inside ``{"input": "…"}`` while the JSON arrives."""

from __future__ import annotations

import re

import msgspec

from proxy.translation.json_wire import decode_string_content

_HEAD = re.compile(r'\s*\{\s*"input"\s*:\s*"')
_HEAD_SO_FAR = re.compile(r'\s*(\{\s*("(i(n(p(u(t("\s*(:\s*"?)?)?)?)?)?)?)?)?)?')
_PLAIN_END = re.compile(r'(?:[^"\\]|\\(?:[^u]|u[0-9a-fA-F]{4}))*')
_HIGH_SURROGATE = re.compile(r"\\u[dD][89abAB][0-9a-fA-F]{2}$")


class InputUnwrapper:
    """Takes fragments of the JSON and returns the text as far as it has arrived.

    Arguments that do not begin with ``{"input": "`` are held until ``close()``. An object with ``input`` elsewhere gives that
    string; anything else is returned unchanged, so that no argument is lost.
    """

    def __init__(self) -> None:
        self._held = ""
        self._state = "head"

    def feed(self, fragment: str) -> str:
        if self._state == "done":
            return ""
        self._held += fragment
        if self._state == "head":
            match = _HEAD.match(self._held)
            if match is not None:
                self._state = "text"
                self._held = self._held[match.end() :]
            elif _HEAD_SO_FAR.fullmatch(self._held) is None:
                self._state = "other"
        return self._text() if self._state == "text" else ""

    def close(self) -> str:
        """The text that was held until the end of the arguments."""
        buffered, self._held = self._held, ""
        state, self._state = self._state, "done"
        if state in ("done", "text"):
            # All complete characters of a string that breaks off were returned already.
            return ""
        try:
            value = msgspec.json.decode(buffered)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return buffered
        if isinstance(value, dict) and isinstance(value.get("input"), str):
            return str(value["input"])
        return "" if value in ({}, None) else buffered

    def _text(self) -> str:
        match = _PLAIN_END.match(self._held)
        end = match.end() if match else 0
        if self._held[end : end + 1] == '"':
            piece, self._held, self._state = self._held[:end], "", "done"
            return decode_string_content(piece)
        high = _HIGH_SURROGATE.search(self._held, 0, end)
        end = high.start() if high else end
        piece, self._held = self._held[:end], self._held[end:]
        return decode_string_content(piece)

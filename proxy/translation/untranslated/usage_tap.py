"""What an answer that is not translated says of its usage: read while its bytes pass, in any of the shapes that servers use.

A JSON answer says it in ``usage``; of an event stream each counter's last value counts. Nothing here ever fails: an answer
that cannot be read has told nothing.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.canonical import Usage
from proxy.translation.framing.sse import Frame, Reader

NOTHING = msgspec.Raw(b"null")


class _Told(msgspec.Struct):
    usage: msgspec.Raw = NOTHING
    duration: Any = None
    response: msgspec.Raw = NOTHING
    message: msgspec.Raw = NOTHING


LAST_DATA = b"[DONE]"

_told = msgspec.json.Decoder(_Told)
_usage = msgspec.json.Decoder(dict[str, Any] | None)


class UsageTap:
    """Usage and seconds of audio, as far as they were told. Feed it a whole JSON body, or the reads of an event stream.

    ``is_done``: the event stream has told its last event, whether or not the connection has ended.
    """

    def __init__(self, last_events: frozenset[str] = frozenset()) -> None:
        """``last_events``: names of the events that end a stream, besides the data ``[DONE]``."""
        self._last_events = last_events
        self.usage: Usage | None = None
        self.seconds: float | None = None
        self.is_done = False
        self._counters: dict[str, Any] = {}
        self._reader = Reader()

    def whole(self, body: bytes) -> None:
        """A complete JSON answer."""
        self._hear(body)

    def feed(self, chunk: bytes) -> None:
        """One read of an event stream."""
        self._frames(self._reader.feed(chunk))

    def close(self) -> None:
        """The event stream has ended."""
        self._frames(self._reader.close())

    def _frames(self, frames: list[Frame]) -> None:
        for frame in frames:
            if b'"usage"' in frame.data:
                self._hear(frame.data)
            if frame.data == LAST_DATA or frame.event in self._last_events:
                self.is_done = True

    def _hear(self, body: bytes | msgspec.Raw) -> None:
        try:
            told = _told.decode(body)
            usage = _usage.decode(told.usage)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if usage is not None:
            self._counters |= {name: value for name, value in usage.items() if value is not None}
            self.usage = read_usage(self._counters) or self.usage
            self.seconds = _number(usage.get("seconds")) or self.seconds
        else:
            for inner in (told.response, told.message):
                if bytes(inner)[:1] == b"{":
                    self._hear(inner)
        if self.seconds is None:
            self.seconds = _number(told.duration)


def read_usage(usage: dict[str, Any]) -> Usage | None:
    """Counters of either family in disjoint classes; ``None`` when there are none (audio that is billed by the second)."""
    given = _first(usage, "prompt_tokens", "input_tokens")
    output = _first(usage, "completion_tokens", "output_tokens")
    if given is None and output is None:
        given = _first(usage, "total_tokens")
        if given is None:
            return None
    read, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    within = 0
    if not (read or written):
        within = min(_inside(usage, ("prompt_tokens_details", "input_tokens_details", "input_token_details"), "cached_tokens"), given or 0)
    reasoning = _inside(usage, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens")
    return Usage(fresh=(given or 0) - within, cache_read=read + within, cache_write_5m=written, output=output or 0, reasoning=reasoning)


def _first(usage: dict[str, Any], *names: str) -> int | None:
    return next((_count(usage, name) for name in names if usage.get(name) is not None), None)


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 1e15 else 0


def _inside(usage: dict[str, Any], groups: tuple[str, ...], name: str) -> int:
    return next((_count(usage[group], name) for group in groups if isinstance(usage.get(group), dict)), 0)


def _number(value: Any) -> float | None:
    """Seconds, as a number or (OpenAI's `duration`) as a text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e9 else None

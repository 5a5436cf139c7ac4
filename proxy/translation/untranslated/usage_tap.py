"""Reads the usage of responses that are not translated while their bytes pass, in any shape that servers use.

A JSON response has ``usage``; in an event stream the last value of each counter counts. A response that
cannot be read has no usage; only an event above the limits of ``framing.sse`` raises ``UpstreamFailed``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.canonical import Usage
from proxy.translation.framing.sse import Frame, Reader

NOTHING = msgspec.Raw(b"null")


class _UsageFields(msgspec.Struct):
    usage: msgspec.Raw = NOTHING
    duration: Any = None
    response: msgspec.Raw = NOTHING
    message: msgspec.Raw = NOTHING


LAST_DATA = b"[DONE]"

_usage_fields = msgspec.json.Decoder(_UsageFields)
_usage = msgspec.json.Decoder(dict[str, Any] | None)


class UsageTap:
    """Usage, and seconds of audio. Takes a whole JSON body, or the reads of an event stream.

    ``is_done``: the last event of the stream has arrived, whether or not the connection has ended.
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
        """Read a complete JSON response."""
        self._read_object(body)

    def feed(self, chunk: bytes) -> None:
        """Read one piece of an event stream."""
        self._read_frames(self._reader.feed(chunk))

    def close(self) -> None:
        """Read what is left at the end of an event stream."""
        self._read_frames(self._reader.close())

    def _read_frames(self, frames: list[Frame]) -> None:
        for frame in frames:
            if b'"usage"' in frame.data:
                self._read_object(frame.data)
            if frame.data == LAST_DATA or frame.event in self._last_events:
                self.is_done = True

    def _read_object(self, body: bytes | msgspec.Raw) -> None:
        try:
            fields = _usage_fields.decode(body)
            usage = _usage.decode(fields.usage)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return
        if usage is not None:
            self._counters |= {name: value for name, value in usage.items() if value is not None}
            self.usage = read_usage(self._counters) or self.usage
            self.seconds = _number(usage.get("seconds")) or self.seconds
        else:
            for inner in (fields.response, fields.message):
                if bytes(inner)[:1] == b"{":
                    self._read_object(inner)
        if self.seconds is None:
            self.seconds = _number(fields.duration)


def read_usage(usage: dict[str, Any]) -> Usage | None:
    """The counters of either naming as disjoint classes; ``None`` without counters (audio billed by the second)."""
    input_tokens = _first_count(usage, "prompt_tokens", "input_tokens")
    output = _first_count(usage, "completion_tokens", "output_tokens")
    if input_tokens is None and output is None:
        input_tokens = _first_count(usage, "total_tokens")
        if input_tokens is None:
            return None
    read, written = _count(usage, "cache_read_input_tokens"), _count(usage, "cache_creation_input_tokens")
    cached = 0
    if not (read or written):
        cached = min(
            _nested_count(usage, ("prompt_tokens_details", "input_tokens_details", "input_token_details"), "cached_tokens"),
            input_tokens or 0,
        )
    reasoning = _nested_count(usage, ("completion_tokens_details", "output_tokens_details"), "reasoning_tokens")
    return Usage(
        fresh=(input_tokens or 0) - cached, cache_read=read + cached, cache_write_5m=written, output=output or 0, reasoning=reasoning
    )


def _first_count(usage: dict[str, Any], *names: str) -> int | None:
    return next((_count(usage, name) for name in names if usage.get(name) is not None), None)


def _count(usage: dict[str, Any], name: str) -> int:
    value = usage.get(name)
    return int(value) if isinstance(value, (int, float)) and 0 <= value < 1e15 else 0


def _nested_count(usage: dict[str, Any], groups: tuple[str, ...], name: str) -> int:
    return next((_count(usage[group], name) for group in groups if isinstance(usage.get(group), dict)), 0)


def _number(value: Any) -> float | None:
    """Seconds, as a number or (OpenAI's `duration`) as a text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e9 else None

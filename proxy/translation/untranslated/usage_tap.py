"""Reads the usage of responses that are not translated while their bytes pass, in any shape that servers use.

A JSON response has ``usage``; in an event stream the last value of each counter counts. A response that
cannot be read has no usage; only an event above the limits of ``framing.sse`` raises ``UpstreamFailed``.
"""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.canonical import Usage
from proxy.translation.framing.sse import Frame, Reader
from proxy.translation.usage_counters import has_counts, read_usage, with_tool_usage
from proxy.translation.usage_details import tool_usage

NOTHING = msgspec.Raw(b"null")


class _UsageFields(msgspec.Struct):
    usage: msgspec.Raw = NOTHING
    duration: Any = None
    response: msgspec.Raw = NOTHING
    message: msgspec.Raw = NOTHING
    service_tier: Any = None
    tool_usage: msgspec.Raw = NOTHING
    tools: msgspec.Raw = NOTHING


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
        self._service_tier: Any = None
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
            self._service_tier = fields.service_tier or usage.get("service_tier") or self._service_tier
            if not self._counters or has_counts(usage):
                self._counters |= {name: value for name, value in usage.items() if value is not None}
            self.usage = _read_usage(self._counters, self._service_tier) or self.usage
            if self.usage is not None and fields.tool_usage is not NOTHING:
                self.usage = with_tool_usage(self.usage, *tool_usage(bytes(fields.tool_usage), bytes(fields.tools)))
            self.seconds = _number(usage.get("seconds")) or self.seconds
        else:
            for inner in (fields.response, fields.message):
                if bytes(inner)[:1] == b"{":
                    self._read_object(inner)
        if self.seconds is None:
            self.seconds = _number(fields.duration)


def _read_usage(usage: dict[str, Any], service_tier: Any) -> Usage | None:
    """The usage; ``total_tokens`` alone, as rerankers send it, is input. ``None`` without counters (audio billed by the second)."""
    read = read_usage(usage, service_tier)
    if read is None and usage.get("total_tokens") is not None:
        return read_usage({"prompt_tokens": usage["total_tokens"]}, service_tier)
    return read


def _number(value: Any) -> float | None:
    """Seconds, as a number or (OpenAI's `duration`) as a text."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, (int, float)) and 0 <= value < 1e9 else None

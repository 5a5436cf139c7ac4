"""Server-sent events: bytes in, frames out, and back (WHATWG HTML, "event stream interpretation").

The reader takes any split of the byte stream. It cuts at line ends in bytes, never by a text decoder's idea of a line
(``str.splitlines`` also breaks at U+2028, which JSON may hold raw).
"""

from __future__ import annotations

import msgspec

_BOM = b"\xef\xbb\xbf"


class Frame(msgspec.Struct, frozen=True):
    """One event: its data lines joined, and the ``event:`` line's value if there was one."""

    data: bytes
    event: str = ""


class Reader:
    """Feed it the reads as they come; it returns the frames that each of them completed."""

    __slots__ = ("_buffer", "_data", "_event", "_started")

    def __init__(self) -> None:
        self._buffer = b""
        self._data: list[bytes] = []
        self._event = ""
        self._started = False

    def feed(self, chunk: bytes) -> list[Frame]:
        buffer = self._buffer + chunk if self._buffer else chunk
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            self._started = True
            buffer = buffer.removeprefix(_BOM)
        if b"\r" in buffer:
            # A lone CR ends a line too; one at the very end may be half of a CRLF, so it waits for the next byte.
            held = b"\r" if buffer.endswith(b"\r") else b""
            buffer = (buffer[:-1] if held else buffer).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        else:
            held = b""
        lines = buffer.split(b"\n")
        self._buffer = lines.pop() + held
        frames: list[Frame] = []
        for line in lines:
            self._take(line, frames)
        return frames

    def close(self) -> list[Frame]:
        """At the end of the bytes: a last event without its blank line counts, if its data is complete JSON or ``[DONE]``."""
        frames: list[Frame] = []
        rest, self._buffer = self._buffer.rstrip(b"\r"), b""
        if rest:
            self._take(rest, frames)
        if self._data:
            frame = self._dispatch()
            if _complete(frame.data):
                frames.append(frame)
        return frames

    def _take(self, line: bytes, frames: list[Frame]) -> None:
        if not line:
            if self._data:
                frames.append(self._dispatch())
            else:
                self._event = ""
        elif line.startswith(b"data:"):
            self._data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:"):
            self._event = line[6:].strip().decode("utf-8", "replace")
        # Comments (": keep-alive"), id, retry and unknown fields carry nothing for us.

    def _dispatch(self) -> Frame:
        data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
        frame = Frame(data, self._event)
        self._data, self._event = [], ""
        return frame


def _complete(data: bytes) -> bool:
    if data.strip() == b"[DONE]":
        return True
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def write(frame: Frame) -> bytes:
    """The bytes of one frame; its data is JSON on one line, as all our encoders make it."""
    if frame.event:
        return b"event: %b\ndata: %b\n\n" % (frame.event.encode(), frame.data)
    return b"data: %b\n\n" % frame.data


COMMENT = b": keep-alive\n\n"
"""The keep-alive of the OpenAI dialects."""


class Sse:
    """Server-sent events as a dialect's framing."""

    media_type = "text/event-stream"

    def reader(self) -> Reader:
        return Reader()

    def write(self, frame: Frame) -> bytes:
        return write(frame)


SSE = Sse()

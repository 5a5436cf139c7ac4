"""Server-sent events: bytes in, frames out, and back (WHATWG HTML, "event stream interpretation").

The reader takes any split of the byte stream. It cuts at line ends in bytes, never by a text decoder's idea of a line
(``str.splitlines`` also breaks at U+2028, which JSON may hold raw).
"""

from __future__ import annotations

import functools

import msgspec

_BOM = b"\xef\xbb\xbf"


class Frame(msgspec.Struct, frozen=True):
    """One event: its data lines joined, and the ``event:`` line's value if there was one."""

    data: bytes
    event: str = ""


class Reader:
    """Feed it the reads as they come; it returns the frames that each of them completed."""

    __slots__ = ("_buffer", "_started")

    def __init__(self) -> None:
        self._buffer = b""
        self._started = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """The frames that one read completed."""
        buffer = self._buffer + chunk if self._buffer else chunk
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            self._started = True
            buffer = buffer.removeprefix(_BOM)
        held = b""
        if b"\r" in buffer:
            # A lone CR ends a line too; one at the very end may be half of a CRLF, so it waits for the next byte.
            held = b"\r" if buffer.endswith(b"\r") else b""
            buffer = (buffer[:-1] if held else buffer).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        blocks = buffer.split(b"\n\n")
        self._buffer = blocks.pop() + held
        return [frame for block in blocks if (frame := _frame(block)) is not None]

    def close(self) -> list[Frame]:
        """At the end of the bytes: a last event without its blank line counts, if its data is complete JSON or ``[DONE]``."""
        rest, self._buffer = self._buffer.rstrip(b"\r"), b""
        frame = _frame(rest)
        return [frame] if frame is not None and _is_complete(frame.data) else []


def _frame(block: bytes) -> Frame | None:
    """The event that the lines of ``block`` make; ``None`` for one without data."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return Frame(block[6:])
    data: list[bytes] = []
    event = ""
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:"):
            event = line[6:].strip().decode("utf-8", "replace")
        # Comments (": keep-alive"), id, retry and unknown fields carry nothing for us.
    if not data:
        return None
    return Frame(data[0] if len(data) == 1 else _joined(data), event)


def _joined(lines: list[bytes]) -> bytes:
    """Several data lines as one text; in JSON a line break is only white space, so that it can be passed on as one line."""
    text = b"\n".join(lines)
    return text.replace(b"\n", b" ") if _is_complete(text) else text


def _is_complete(data: bytes) -> bool:
    if data.strip() == b"[DONE]":
        return True
    try:
        msgspec.json.decode(data, type=msgspec.Raw)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False
    return True


def write(frame: Frame) -> bytes:
    """The bytes of one frame; its data is JSON on one line, as all our encoders make it and as the reader leaves it."""
    if frame.event:
        return b"%bdata: %b\n\n" % (_event_line(frame.event), frame.data)
    return b"data: %b\n\n" % frame.data


@functools.lru_cache(maxsize=256)
def _event_line(event: str) -> bytes:
    return b"event: %b\n" % event.encode()


COMMENT = b": keep-alive\n\n"
"""The keep-alive of the OpenAI dialects."""


class Sse:
    """Server-sent events as a dialect's framing."""

    media_type = "text/event-stream"

    def reader(self) -> Reader:
        return Reader()

    write = staticmethod(write)


SSE = Sse()

"""Server-sent events: bytes to frames and frames to bytes (docs/wire-formats.md, section 5).

Source: WHATWG HTML, "Interpreting an event stream". The byte stream may be split anywhere. Lines end at CR, LF or CRLF only:
``str.splitlines`` would also split at U+2028, which JSON strings may contain.
"""

from __future__ import annotations

import functools

import msgspec

_BOM = b"\xef\xbb\xbf"


class Frame(msgspec.Struct, frozen=True):
    """One event: the joined values of its ``data:`` lines, and the value of its ``event:`` line, empty if it has none."""

    data: bytes
    event: str = ""


class Reader:
    """A :class:`~proxy.translation.dialects.base.FrameReader`."""

    __slots__ = ("_buffer", "_started")

    def __init__(self) -> None:
        self._buffer = b""
        self._started = False

    def feed(self, chunk: bytes) -> list[Frame]:
        buffer = self._buffer + chunk if self._buffer else chunk
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._buffer = buffer
                return []
            self._started = True
            buffer = buffer.removeprefix(_BOM)
        pending = b""
        if b"\r" in buffer:
            # A lone CR ends a line, too. One at the end of the buffer may be half of a CRLF and stays until the next chunk.
            pending = b"\r" if buffer.endswith(b"\r") else b""
            buffer = (buffer[:-1] if pending else buffer).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        blocks = buffer.split(b"\n\n")
        self._buffer = blocks.pop() + pending
        return [frame for block in blocks if (frame := _frame(block)) is not None]

    def close(self) -> list[Frame]:
        """The last event, if it has no blank line after it and its data is complete JSON or ``[DONE]``."""
        rest, self._buffer = self._buffer.rstrip(b"\r"), b""
        frame = _frame(rest)
        return [frame] if frame is not None and _is_complete(frame.data) else []


def _frame(block: bytes) -> Frame | None:
    """The event in the lines of ``block``; ``None`` if it has no data."""
    if block.startswith(b"data: ") and b"\n" not in block:
        return Frame(block[6:])
    data: list[bytes] = []
    event = ""
    for line in block.split(b"\n"):
        if line.startswith(b"data:"):
            data.append(line[6:] if line[5:6] == b" " else line[5:])
        elif line.startswith(b"event:"):
            event = line[6:].strip().decode("utf-8", "replace")
        elif not data and line.startswith(b"{") and _is_complete(line):
            data.append(line)  # an error of Ollama, in the middle of its stream and without the name of a field
        # Comments (": keep-alive"), id, retry and unknown fields are ignored.
    if not data:
        return None
    return Frame(data[0] if len(data) == 1 else _join_data(data), event)


def _join_data(lines: list[bytes]) -> bytes:
    """Several data lines as one value. In JSON the line breaks are white space and become blanks, so that it fits on one line."""
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
    """The bytes of one frame. Its data must be one line; encoders and :class:`Reader` produce nothing else."""
    if frame.event:
        return b"%bdata: %b\n\n" % (_event_line(frame.event), frame.data)
    return b"data: %b\n\n" % frame.data


@functools.lru_cache(maxsize=256)
def _event_line(event: str) -> bytes:
    return b"event: %b\n" % event.encode()


COMMENT = b": keep-alive\n\n"
"""The keep-alive of the OpenAI dialects: a comment, which clients ignore."""


class Sse:
    """A :class:`~proxy.translation.dialects.base.Framing`."""

    media_type = "text/event-stream"

    def reader(self) -> Reader:
        return Reader()

    write = staticmethod(write)


SSE = Sse()

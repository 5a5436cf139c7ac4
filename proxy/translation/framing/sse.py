"""Server-sent events: bytes to frames and frames to bytes (docs/wire-formats.md, section 5).

Source: WHATWG HTML, "Interpreting an event stream". The byte stream may be split anywhere. Lines end at CR, LF or CRLF only:
``str.splitlines`` would also split at U+2028, which JSON strings may contain.
"""

from __future__ import annotations

import functools

import msgspec

from proxy.translation.errors import Failure, UpstreamFailed

_BOM = b"\xef\xbb\xbf"
MAX_EVENT_BYTES = 64 * 1024 * 1024
"""The largest event of an upstream. Images and audio come in events of some 20 MB."""
MAX_EVENT_LINES = 100_000
"""The most lines of one event. Each line is an object in memory, however short it is."""


def too_large() -> UpstreamFailed:
    """The failure of a stream with an event above the limits."""
    message = f"The upstream sent an event of more than {MAX_EVENT_BYTES >> 20} MiB or {MAX_EVENT_LINES} lines"
    return UpstreamFailed(Failure(kind="bad_gateway", message=message), answered=True)


class Frame(msgspec.Struct, frozen=True):
    """One event: the joined values of its ``data:`` lines, and the value of its ``event:`` line, empty if it has none."""

    data: bytes
    event: str = ""


class Reader:
    """A :class:`~proxy.translation.dialects.base.FrameReader`. Looks at every byte once, however small the reads are."""

    __slots__ = ("_held", "_started", "_unfinished")

    def __init__(self) -> None:
        self._unfinished = bytearray()
        """The bytes of the event that has not ended, with LF as line ends."""
        self._held = b""
        """Its last bytes, which the next read may complete to the end of a line or of the event: a CR, an LF, or both."""
        self._started = False

    def feed(self, chunk: bytes) -> list[Frame]:
        """The completed events. Raises ``UpstreamFailed`` for one that is larger than :data:`MAX_EVENT_BYTES`."""
        buffer = self._held + chunk if self._held else chunk
        if not self._started:
            if len(buffer) < len(_BOM) and _BOM.startswith(buffer):
                self._held = buffer
                return []
            self._started = True
            buffer = buffer.removeprefix(_BOM)
        held = b""
        if b"\r" in buffer:
            # A lone CR ends a line, too. One at the end of the buffer may be half of a CRLF and stays until the next chunk.
            held = b"\r" if buffer.endswith(b"\r") else b""
            buffer = (buffer[:-1] if held else buffer).replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        blocks = buffer.split(b"\n\n")
        rest = blocks.pop()
        may_be_too_large = len(buffer) + len(self._unfinished) > min(MAX_EVENT_LINES, MAX_EVENT_BYTES)
        if blocks and self._unfinished:
            self._unfinished += blocks[0]
            blocks[0] = bytes(self._unfinished)
            self._unfinished.clear()
        if rest.endswith(b"\n"):
            held = b"\n" + held
            rest = rest[:-1]
        self._unfinished += rest
        self._held = held
        if may_be_too_large and (any(map(_is_too_large, blocks)) or (not blocks and len(self._unfinished) > MAX_EVENT_BYTES)):
            raise too_large()
        return [frame for block in blocks if (frame := _frame(block)) is not None]

    def close(self) -> list[Frame]:
        """The last event, if it has no blank line after it and its data is complete JSON or ``[DONE]``."""
        rest = bytes(self._unfinished + self._held.rstrip(b"\r"))
        self._unfinished.clear()
        self._held = b""
        frame = None if _is_too_large(rest) else _frame(rest)
        return [frame] if frame is not None and _is_complete(frame.data) else []


def _is_too_large(block: bytes) -> bool:
    return len(block) > MAX_EVENT_LINES and (len(block) > MAX_EVENT_BYTES or block.count(b"\n") > MAX_EVENT_LINES)


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


EVENT_ENDS = (b"\n\n", b"\r\n\r\n", b"\r\r")


class WholeEvents:
    """Passes the bytes of a stream on up to the end of the last complete event, unchanged. Looks at every byte once."""

    __slots__ = ("_unfinished",)

    def __init__(self) -> None:
        self._unfinished = bytearray()

    def feed(self, chunk: bytes) -> bytes:
        """The bytes that end with an event, perhaps none. Raises ``UpstreamFailed`` as :meth:`Reader.feed` does."""
        tail = bytes(self._unfinished[-3:])
        near = tail + chunk if tail else chunk
        cut = max((start + len(end) for end in EVENT_ENDS if (start := near.rfind(end)) >= 0), default=0) - len(tail)
        if cut <= 0:
            self._unfinished.extend(chunk)
            if len(self._unfinished) > MAX_EVENT_BYTES:
                raise too_large()
            return b""
        whole = bytes(self._unfinished) + chunk[:cut] if self._unfinished else chunk[:cut]
        self._unfinished = bytearray(chunk[cut:])
        return whole

    def close(self) -> bytes:
        """The bytes after the last complete event."""
        rest = bytes(self._unfinished)
        self._unfinished.clear()
        return rest


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

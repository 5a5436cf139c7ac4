"""Incremental decoders of request bodies, in memory, with a limit of bytes and a limit of work for each turn of the event loop."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from .head import RefusedError

SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
MAX_SIZE_LINE = 1024
MAX_EXTENSIONS = 16 * 1024
"""Bytes of the extensions of all chunks of a body. No client of an LLM API sends any, and each byte takes time to check."""
MAX_TRAILER = 16 * 1024
OVERHEAD = 8
"""Most bytes on the wire for each byte of a chunked body: chunks of one byte need six."""
STEPS_PER_TURN = 512
"""Chunks that are decoded in one turn of the event loop; they take about half a millisecond."""


class Body(Protocol):
    """A decoder. ``taken``: bytes of the wire that it was fed. ``is_behind``: :meth:`resume` is to be called in a later turn."""

    taken: int
    is_behind: bool

    @property
    def size(self) -> int:
        """The bytes that it holds in memory."""

    def feed(self, data: bytes) -> bytes | None:
        """Decode the bytes of one read. Returns None while the body is incomplete, else the bytes after it."""

    def resume(self) -> bytes | None:
        """Decode what is left of the bytes that were fed; the result is that of ``feed``."""

    def content(self) -> bytes:
        """The whole body."""


class LengthBody:
    """A body of ``length`` bytes; the caller has checked the limit."""

    is_behind = False

    def __init__(self, length: int) -> None:
        self._left = length
        self._content = bytearray()  # one block that grows, not a list: reads of single bytes would cost forty times their size
        self.taken = 0

    @property
    def size(self) -> int:
        return len(self._content)

    def feed(self, data: bytes) -> bytes | None:
        left = self._left
        if len(data) < left:
            self._content += data
            self._left = left - len(data)
            self.taken += len(data)
            return None
        self._content += data if len(data) == left else data[:left]
        self.taken += left
        self._left = 0
        return data[left:]

    def resume(self) -> bytes | None:
        return self.feed(b"")

    def content(self) -> bytes:
        return bytes(self._content)


Step = Callable[["ChunkedBody", bytes, int], int]


class ChunkedBody:
    """A chunked body of at most ``limit`` bytes; raises ``RefusedError`` 413 beyond, 400 where the chunks are malformed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._content = bytearray()
        self._buffer = b""
        self._position = 0
        self._left = 0
        self._step: Step = ChunkedBody._size  # no bound method: the cycle would keep the body until a garbage collection
        self._extensions = 0
        self._trailer = 0
        self.taken = 0
        self.is_behind = False

    @property
    def size(self) -> int:
        return len(self._content) + len(self._buffer) - self._position

    def feed(self, data: bytes) -> bytes | None:
        self.taken += len(data)
        if self.taken > OVERHEAD * self._limit + MAX_SIZE_LINE + MAX_TRAILER:
            raise RefusedError(400, "Too much overhead in chunks")
        self._buffer = self._buffer[self._position :] + data
        self._position = 0
        return self.resume()

    def resume(self) -> bytes | None:
        buffer, position = self._buffer, self._position
        for _ in range(STEPS_PER_TURN):
            step = self._step
            after = step(self, buffer, position)
            if after < 0:
                self._buffer, self._position, self.is_behind = b"", 0, False
                return buffer[-after - 1 :]
            if after == position and self._step == step:
                self.is_behind = False
                break
            position = after
        else:
            self.is_behind = True
        self._position = position
        return None

    def content(self) -> bytes:
        return bytes(self._content)

    # Each step returns the position after the bytes that it decoded, the same position if it needs more bytes, or -(end + 1)
    # where the body ends.

    def _size(self, buffer: bytes, position: int) -> int:
        end = buffer.find(b"\r\n", position, position + MAX_SIZE_LINE)
        if end < 0:
            if len(buffer) - position >= MAX_SIZE_LINE:
                raise RefusedError(400, "Malformed chunk size")
            return position
        size = SIZE_LINE.fullmatch(buffer, position, end)
        if size is None:
            raise RefusedError(400, "Malformed chunk size")
        self._extensions += end - size.end(1)
        if self._extensions > MAX_EXTENSIONS:
            raise RefusedError(400, "Too many chunk extensions")
        length = int(size[1], 16)
        if len(self._content) + length > self._limit:
            raise RefusedError(413, "Request body too large")
        start = end + 2
        last = start + length
        if length and buffer[last : last + 2] == b"\r\n":  # the whole chunk is there: one step
            self._content += buffer[start:last]
            return last + 2
        self._left = length
        self._step = ChunkedBody._chunk if length else ChunkedBody._trailers
        return start

    def _chunk(self, buffer: bytes, position: int) -> int:
        piece = buffer[position : position + self._left]
        self._content += piece
        self._left -= len(piece)
        if not self._left:
            self._step = ChunkedBody._chunk_end
        return position + len(piece)

    def _chunk_end(self, buffer: bytes, position: int) -> int:
        end = buffer[position : position + 2]
        if end == b"\r\n":
            self._step = ChunkedBody._size
            return position + 2
        if end in (b"", b"\r"):
            return position
        raise RefusedError(400, "Malformed chunk")

    def _trailers(self, buffer: bytes, position: int) -> int:
        end = buffer.find(b"\r\n", position)
        waiting = len(buffer) - position if end < 0 else end + 2 - position
        if self._trailer + waiting > MAX_TRAILER:
            raise RefusedError(431, "Trailer fields too large")
        if end < 0:
            return position
        if end == position:
            return -(end + 2) - 1
        if not TRAILER_LINE.fullmatch(buffer, position, end):
            raise RefusedError(400, "Malformed trailer field")
        self._trailer += waiting
        return end + 2

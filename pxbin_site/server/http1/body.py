"""Incremental decoders of request bodies, in memory and with a limit."""

from __future__ import annotations

import re
from typing import Protocol

from .head import RefusedError

SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t\x20-\x7e\x80-\xff]*")
MAX_SIZE_LINE = 1024
MAX_TRAILER = 16 * 1024
OVERHEAD = 8
"""Most bytes on the wire for each byte of a chunked body: chunks of one byte need six."""


class Body(Protocol):
    """A decoder. ``taken``: bytes of the wire that it has consumed."""

    taken: int

    def feed(self, data: bytes) -> bytes | None:
        """Decode the bytes of one read. Returns None while the body is incomplete, else the bytes after it."""

    def content(self) -> bytes:
        """The whole body."""


class LengthBody:
    """A body of ``length`` bytes; the caller has checked the limit."""

    def __init__(self, length: int) -> None:
        self._left = length
        self._pieces: list[bytes] = []
        self.taken = 0

    def feed(self, data: bytes) -> bytes | None:
        left = self._left
        if len(data) < left:
            self._pieces.append(data)
            self._left = left - len(data)
            self.taken += len(data)
            return None
        self._pieces.append(data if len(data) == left else data[:left])
        self.taken += left
        self._left = 0
        return data[left:]

    def content(self) -> bytes:
        pieces = self._pieces
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)


class ChunkedBody:
    """A chunked body of at most ``limit`` bytes; raises ``RefusedError`` 413 beyond, 400 where the chunks are malformed."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._content = bytearray()
        self._undecoded = b""
        self._left = 0
        self._step = self._size
        self._trailer = 0
        self.taken = 0

    def feed(self, data: bytes) -> bytes | None:
        self.taken += len(data)
        if self.taken > OVERHEAD * self._limit + MAX_SIZE_LINE + MAX_TRAILER:
            raise RefusedError(400, "Too much overhead in chunks")
        buffer = self._undecoded + data
        position = 0
        while True:
            step = self._step
            after = step(buffer, position)
            if after < 0:
                self._undecoded = b""
                return buffer[-after - 1 :]
            if after == position and self._step == step:
                self._undecoded = buffer[position:]
                return None
            position = after

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
        self._left = int(size[1], 16)
        if len(self._content) + self._left > self._limit:
            raise RefusedError(413, "Request body too large")
        self._step = self._chunk if self._left else self._trailers
        return end + 2

    def _chunk(self, buffer: bytes, position: int) -> int:
        piece = buffer[position : position + self._left]
        self._content += piece
        self._left -= len(piece)
        if not self._left:
            self._step = self._chunk_end
        return position + len(piece)

    def _chunk_end(self, buffer: bytes, position: int) -> int:
        end = buffer[position : position + 2]
        if end == b"\r\n":
            self._step = self._size
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

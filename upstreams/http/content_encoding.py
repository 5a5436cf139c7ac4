"""Content encodings of upstream responses (RFC 9110, section 8.4), decoded read by read.

Requests ask for none (``accept-encoding: identity``), but proxies in front of an upstream compress all the same. Both sides are
bounded: output comes in pieces of at most ``PIECE`` bytes, so that a small read cannot become gigabytes at once, and input is
cut into slices, so that the work grows linearly with the bytes that arrive.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

PIECE = 256 * 1024
SLICE = 16 * 1024
"""Input bytes per step. What follows the end of a member is copied, so a slice bounds what many small members copy."""
MAX_EMPTY_MEMBERS = 1000
"""gzip members or zstd frames in a row that decode to nothing. Writers of concatenated files produce a few."""
MAX_ZSTD_WINDOW_LOG = 23
"""8 MiB, the window that RFC 9659 asks HTTP clients to support."""
MAX_ENCODINGS = 3


class CorruptError(Exception):
    """The body does not match its Content-Encoding, or ends too early."""


class Decoder(Protocol):
    """Undoes one encoding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The bytes that one read makes available, in bounded pieces; raises ``CorruptError``."""

    def close(self) -> None:
        """Call at the end of the bytes; raises ``CorruptError`` when some are missing."""


class Member(Protocol):
    """One gzip member or zstd frame: the interface that the standard library's decompressors share."""

    @property
    def eof(self) -> bool: ...

    @property
    def unused_data(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int) -> bytes: ...


class MemberDecoder:
    """A sequence of compressed members. ``make`` starts a member."""

    def __init__(self, make: Callable[[], Member]) -> None:
        self._make = make
        self._member: Member | None = None
        self._empty_members = 0
        self._has_output = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        for start in range(0, len(data), SLICE):
            yield from self._feed_slice(data[start : start + SLICE])

    def _feed_slice(self, data: bytes) -> Iterator[bytes]:
        while data:
            if self._member is None:
                self._member, self._has_output = self._make(), False
            yield from self._pieces(self._member, data)
            if not self._member.eof:
                return
            data, self._member = self._member.unused_data, None
            self._empty_members = 0 if self._has_output else self._empty_members + 1
            if self._empty_members > MAX_EMPTY_MEMBERS:
                raise CorruptError("too many empty members")

    def _pieces(self, member: Member, data: bytes) -> Iterator[bytes]:
        try:
            while True:
                piece = member.decompress(data, PIECE)
                if piece:
                    self._has_output = True
                    yield piece
                data = getattr(member, "unconsumed_tail", b"")  # zlib returns what it did not read, zstd keeps it
                if member.eof or (not data and getattr(member, "needs_input", True)):
                    return
        except (zlib.error, zstd.ZstdError) as error:
            raise CorruptError(str(error)) from error

    def close(self) -> None:
        """See ``Decoder``."""
        if self._member is not None:
            raise CorruptError("the compressed body ends too early")


class DeflateDecoder:
    """deflate: with the zlib header that RFC 9110 demands, or without it, as some servers send it. Two bytes decide."""

    def __init__(self) -> None:
        self._head = b""
        self._decoder: MemberDecoder | None = None

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        if self._decoder is None:
            self._head += data
            if len(self._head) < 2:
                return
            has_header = self._head[0] & 15 == 8 and int.from_bytes(self._head[:2], "big") % 31 == 0
            window = zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS
            self._decoder, data = MemberDecoder(lambda: zlib.decompressobj(window)), self._head
        yield from self._decoder.feed(data)

    def close(self) -> None:
        """See ``Decoder``."""
        if self._decoder is not None:
            self._decoder.close()
        elif self._head:
            raise CorruptError("the compressed body ends too early")


class BrotliDecoder:
    """br."""

    def __init__(self) -> None:
        self._decompressor = brotli.Decompressor()
        self._has_input = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        self._has_input = True
        try:
            piece = self._decompressor.process(data, output_buffer_limit=PIECE)
            while piece:
                yield piece
                piece = b"" if self._decompressor.is_finished() else self._decompressor.process(b"", output_buffer_limit=PIECE)
        except brotli.error as error:
            raise CorruptError(str(error)) from error

    def close(self) -> None:
        """See ``Decoder``."""
        if self._has_input and not self._decompressor.is_finished():
            raise CorruptError("the compressed body ends too early")


class ChainDecoder:
    """Several encodings, undone from the last to the first."""

    def __init__(self, decoders: list[Decoder]) -> None:
        self._decoders = decoders

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        return self._feed(self._decoders, data)

    def _feed(self, decoders: list[Decoder], data: bytes) -> Iterator[bytes]:
        if not decoders:
            yield data
            return
        for piece in decoders[0].feed(data):
            yield from self._feed(decoders[1:], piece)

    def close(self) -> None:
        """See ``Decoder``."""
        for decoder in self._decoders:
            decoder.close()


def _gzip() -> Decoder:
    return MemberDecoder(lambda: zlib.decompressobj(zlib.MAX_WBITS | 16))


def _zstd() -> Decoder:
    options: dict[int, int] = {zstd.DecompressionParameter.window_log_max: MAX_ZSTD_WINDOW_LOG}
    return MemberDecoder(lambda: zstd.ZstdDecompressor(options=options))


DECODERS: dict[str, Callable[[], Decoder]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": DeflateDecoder,
    "br": BrotliDecoder,
    "zstd": _zstd,
}


def decoder_for(content_encoding: str) -> Decoder | None:
    """The decoder for a Content-Encoding header; ``None`` for no encoding. Raises ``CorruptError`` for an unknown one."""
    names = [name.strip().lower() for name in content_encoding.split(",")]
    encodings = [name for name in names if name not in ("", "identity")]
    if not encodings:
        return None
    if len(encodings) > MAX_ENCODINGS or any(name not in DECODERS for name in encodings):
        raise CorruptError(f"unknown content encoding {content_encoding[:64]!r}")
    decoders: list[Decoder] = [DECODERS[name]() for name in reversed(encodings)]
    return decoders[0] if len(decoders) == 1 else ChainDecoder(decoders)

"""Content encodings of upstream answers, undone read by read.

We ask for none (``accept-encoding: identity``), but proxies in front of an upstream compress all the same. Output comes in
pieces of bounded size, so a small read that would become gigabytes does not.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import Protocol

import brotli  # type: ignore[import-untyped]
import zstandard

PIECE = 256 * 1024


class CorruptError(Exception):
    """The body is not what its Content-Encoding says, or ends too early."""


class Decoder(Protocol):
    """Undoes one encoding."""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """What one read makes available, in bounded pieces; raises ``CorruptError``."""

    def close(self) -> None:
        """At the end of the bytes; raises ``CorruptError`` when some are missing."""


class GzipDecoder:
    """gzip, also several members."""

    WINDOW = zlib.MAX_WBITS | 16

    def __init__(self) -> None:
        self._machine = zlib.decompressobj(self.WINDOW)
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        while data:
            if self._machine.eof:
                self._machine = zlib.decompressobj(self.WINDOW)
            self._began = True
            try:
                piece = self._machine.decompress(data, PIECE)
            except zlib.error as error:
                raise CorruptError(str(error)) from error
            data = self._machine.unconsumed_tail or self._machine.unused_data
            if piece:
                yield piece

    def close(self) -> None:
        """See ``Decoder``."""
        if self._began and not self._machine.eof:
            raise CorruptError("the compressed body ends too early")


class DeflateDecoder(GzipDecoder):
    """deflate: with zlib's head as the standard has it, or without, as some servers send it. Two bytes tell."""

    WINDOW = zlib.MAX_WBITS

    def __init__(self) -> None:
        super().__init__()
        self._first = b""

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        if len(self._first) < 2:
            self._began = True
            self._first += data
            if len(self._first) < 2:
                return
            data = self._first
            if data[0] & 15 != 8 or int.from_bytes(data[:2], "big") % 31:
                self._machine = zlib.decompressobj(-zlib.MAX_WBITS)
        yield from super().feed(data)


class BrotliDecoder:
    """br."""

    def __init__(self) -> None:
        self._machine = brotli.Decompressor()
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        self._began = True
        try:
            piece = self._machine.process(data, output_buffer_limit=PIECE)
            while piece:
                yield piece
                piece = b"" if self._machine.is_finished() else self._machine.process(b"", output_buffer_limit=PIECE)
        except brotli.error as error:
            raise CorruptError(str(error)) from error

    def close(self) -> None:
        """See ``Decoder``."""
        if self._began and not self._machine.is_finished():
            raise CorruptError("the compressed body ends too early")


class ZstdDecoder:
    """zstd (also several frames). Reads are cut small: the library has no bound for its output."""

    CUT = 1024

    def __init__(self) -> None:
        self._machine = zstandard.ZstdDecompressor(max_window_size=8 * 1024 * 1024).decompressobj()
        self._began = False

    def feed(self, data: bytes) -> Iterator[bytes]:
        """See ``Decoder``."""
        rest = memoryview(data)
        while rest:
            if self._machine.eof:
                self._machine = zstandard.ZstdDecompressor(max_window_size=8 * 1024 * 1024).decompressobj()
            self._began = True
            cut, rest = rest[: self.CUT], rest[self.CUT :]
            try:
                piece = self._machine.decompress(bytes(cut))
            except zstandard.ZstdError as error:
                raise CorruptError(str(error)) from error
            if self._machine.eof and self._machine.unused_data:
                rest = memoryview(self._machine.unused_data + bytes(rest))
            if piece:
                yield piece

    def close(self) -> None:
        """See ``Decoder``."""
        if self._began and not self._machine.eof:
            raise CorruptError("the compressed body ends too early")


class Chain:
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


MAKERS: dict[str, Callable[[], Decoder]] = {
    "gzip": GzipDecoder,
    "x-gzip": GzipDecoder,
    "deflate": DeflateDecoder,
    "br": BrotliDecoder,
    "zstd": ZstdDecoder,
}


def decoder_for(content_encoding: str) -> Decoder | None:
    """The decoder for a Content-Encoding header; None for no encoding. Raises ``CorruptError`` for one that is not known."""
    names = [name.strip().lower() for name in content_encoding.split(",")]
    wanted = [name for name in names if name not in ("", "identity")]
    if not wanted:
        return None
    if len(wanted) > 3 or any(name not in MAKERS for name in wanted):
        raise CorruptError(f"unknown content encoding {content_encoding[:64]!r}")
    decoders: list[Decoder] = [MAKERS[name]() for name in reversed(wanted)]
    return decoders[0] if len(decoders) == 1 else Chain(decoders)

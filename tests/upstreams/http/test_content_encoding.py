"""Content encodings, cut in every way."""

import gzip
import zlib

import brotli
import pytest
import zstandard

from upstreams.http.content_encoding import PIECE, CorruptError, decoder_for

RAW = zlib.compressobj(wbits=-15)
TEXT = 'data: {"text": "héllo"}\n\n'.encode() * 3000
CASES = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "gzip in two members": ("x-gzip", gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:])),
    "deflate": ("deflate", zlib.compress(TEXT)),
    "raw deflate": ("deflate", RAW.compress(TEXT) + RAW.flush()),
    "br": ("br", brotli.compress(TEXT)),
    "zstd": ("zstd", zstandard.compress(TEXT)),
    "zstd in two frames": ("zstd", zstandard.compress(TEXT[:1000]) + zstandard.compress(TEXT[1000:])),
    "two encodings": ("gzip, BR", brotli.compress(gzip.compress(TEXT))),
}


def decoded(encoding: str, data: bytes, *, size: int) -> bytes:
    decoder = decoder_for(encoding)
    assert decoder is not None
    pieces = [piece for start in range(0, len(data), size) for piece in decoder.feed(data[start : start + size])]
    decoder.close()
    return b"".join(pieces)


@pytest.mark.parametrize("size", [1, 7, 10**9])
@pytest.mark.parametrize("case", CASES)
def test_what_was_encoded_comes_out(case: str, size: int) -> None:
    encoding, data = CASES[case]
    assert decoded(encoding, data, size=size) == TEXT


@pytest.mark.parametrize("size", [1, 10**9])
@pytest.mark.parametrize("case", CASES)
def test_a_missing_end_is_noticed(case: str, size: int) -> None:
    encoding, data = CASES[case]
    with pytest.raises(CorruptError):
        decoded(encoding, data[:-5], size=size)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_nonsense_is_noticed(encoding: str) -> None:
    with pytest.raises(CorruptError):
        decoded(encoding, b"\xff\xfenonsense" * 100, size=10)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd"])
def test_an_empty_body_needs_no_encoding(encoding: str) -> None:
    decoder = decoder_for(encoding)
    assert decoder is not None
    decoder.close()


@pytest.mark.parametrize("encoding", ["", "identity", "Identity , "])
def test_no_encoding(encoding: str) -> None:
    assert decoder_for(encoding) is None


@pytest.mark.parametrize("encoding", ["compress", "gzip, aws-chunked", "gzip, gzip, gzip, gzip"])
def test_an_unknown_encoding(encoding: str) -> None:
    with pytest.raises(CorruptError):
        decoder_for(encoding)


@pytest.mark.parametrize("case", ["gzip", "deflate", "br"])
def test_a_small_read_that_becomes_large_comes_in_bounded_pieces(case: str) -> None:
    zeros = bytes(50_000_000)
    data = {"gzip": gzip.compress, "deflate": zlib.compress, "br": lambda data: brotli.compress(data, quality=1)}[case](zeros)
    decoder = decoder_for(case)
    assert decoder is not None
    sizes = [len(piece) for piece in decoder.feed(data)]
    decoder.close()
    assert sum(sizes) == len(zeros)
    assert max(sizes) <= 2 * PIECE

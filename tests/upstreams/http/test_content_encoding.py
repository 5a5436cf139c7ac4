"""Content encodings, cut in every way."""

import gzip
import zlib

import brotli
import pytest
from backports import zstd

from upstreams.http.content_encoding import MAX_EMPTY_MEMBERS, PIECE, CorruptError, decoder_for

RAW = zlib.compressobj(wbits=-15)
TEXT = 'data: {"text": "héllo"}\n\n'.encode() * 3000
CASES = {
    "gzip": ("gzip", gzip.compress(TEXT)),
    "gzip in two members": ("x-gzip", gzip.compress(TEXT[:1000]) + gzip.compress(TEXT[1000:])),
    "deflate": ("deflate", zlib.compress(TEXT)),
    "raw deflate": ("deflate", RAW.compress(TEXT) + RAW.flush()),
    "br": ("br", brotli.compress(TEXT)),
    "zstd": ("zstd", zstd.compress(TEXT)),
    "zstd in two frames": ("zstd", zstd.compress(TEXT[:1000]) + zstd.compress(TEXT[1000:])),
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


@pytest.mark.parametrize("case", ["gzip", "deflate", "br", "zstd"])
def test_a_small_read_that_becomes_large_comes_in_bounded_pieces(case: str) -> None:
    zeros = bytes(50_000_000)
    data = {"gzip": gzip.compress, "deflate": zlib.compress, "br": lambda data: brotli.compress(data, quality=1), "zstd": zstd.compress}[
        case
    ](zeros)
    decoder = decoder_for(case)
    assert decoder is not None
    sizes = [len(piece) for piece in decoder.feed(data)]
    decoder.close()
    assert sum(sizes) == len(zeros)
    assert max(sizes) <= 2 * PIECE


EMPTY = {"gzip": gzip.compress(b""), "zstd": zstd.compress(b"")}


@pytest.mark.parametrize("case", EMPTY)
def test_empty_members_between_others_are_skipped(case: str) -> None:
    full = {"gzip": gzip.compress, "zstd": zstd.compress}[case](TEXT)
    assert decoded(case, (EMPTY[case] * MAX_EMPTY_MEMBERS + full) * 3 + EMPTY[case], size=10**9) == TEXT * 3


@pytest.mark.parametrize("size", [7, 10**9])
@pytest.mark.parametrize("case", EMPTY)
def test_endless_empty_members_are_refused(case: str, size: int) -> None:
    with pytest.raises(CorruptError, match="too many empty members"):
        decoded(case, EMPTY[case] * (MAX_EMPTY_MEMBERS + 1), size=size)

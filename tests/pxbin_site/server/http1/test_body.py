"""Bodies as they arrive, cut in every way."""

import pytest

from pxbin_site.server.http1.body import Body, ChunkedBody, LengthBody
from pxbin_site.server.http1.head import RefusedError

CHUNKED = b'5;name="v"\r\nhello\r\n1 \r\n \r\n00006\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n'


def fed(body: Body, data: bytes, *, size: int) -> bytes | None:
    """What came after the body, fed in pieces of ``size``; the pieces after its end are not fed."""
    for start in range(0, len(data), size):
        after = body.feed(data[start : start + size])
        if after is not None:
            return after + data[start + size :]
    return None


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_a_chunked_body_is_its_chunks_and_the_rest_is_the_next_request(size: int) -> None:
    body = ChunkedBody(100)
    assert fed(body, CHUNKED + b"GET /", size=size) == b"GET /"
    assert body.content() == b"hello  world"


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_body_of_known_length(size: int) -> None:
    body = LengthBody(5)
    assert fed(body, b"helloGET /", size=size) == b"GET /"
    assert body.content() == b"hello"
    assert body.taken == 5


def test_an_unfinished_body_waits() -> None:
    assert fed(ChunkedBody(100), CHUNKED[:-1], size=1) is None
    assert fed(LengthBody(6), b"hello", size=1) is None


@pytest.mark.parametrize(
    ("data", "status", "message"),
    [
        (b"g\r\n", 400, "Malformed chunk size"),
        (b"\r\n", 400, "Malformed chunk size"),
        (b"5\nhello\r\n", 400, "Malformed chunk size"),
        (b"0x5\r\n", 400, "Malformed chunk size"),
        (b"5;\x00\r\n", 400, "Malformed chunk size"),
        (b"1" * 16 + b"\r\n", 400, "Malformed chunk size"),
        (b"1;" + b"x" * 2000, 400, "Malformed chunk size"),
        (b"1\r\nabc", 400, "Malformed chunk"),
        (b"65\r\n", 413, "Request body too large"),
        (b"64\r\n" + b"x" * 100 + b"\r\n1\r\n", 413, "Request body too large"),
        (b"0\r\nno colon\r\n", 400, "Malformed trailer field"),
        (b"0\r\n" + b"a: b\r\n" * 2800, 431, "Trailer fields too large"),
        ((b"1" + b" " * 900 + b"\r\na\r\n") * 30, 400, "Too much overhead in chunks"),
    ],
)
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_malformed_or_endless_body_is_refused(data: bytes, status: int, message: str, size: int) -> None:
    with pytest.raises(RefusedError) as caught:
        fed(ChunkedBody(100), data, size=size)
    assert (caught.value.status, caught.value.message) == (status, message)

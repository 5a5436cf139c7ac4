"""Bodies as they arrive, cut in every way."""

import gc
import weakref

import pytest

from pxbin_site.server.http1.body import STEPS_PER_TURN, Body, ChunkedBody, LengthBody
from pxbin_site.server.http1.head import RefusedError

CHUNKED = b'5;name="v"\r\nhello\r\n1 \r\n \r\n00006\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\n'


def fed(body: Body, data: bytes, *, size: int) -> bytes | None:
    """What came after the body, fed in pieces of ``size``; the pieces after its end are not fed."""
    for start in range(0, len(data), size):
        after = body.feed(data[start : start + size])
        while body.is_behind:
            after = body.resume()
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
        ((b"1" + b" " * 900 + b"\r\na\r\n") * 19, 400, "Too many chunk extensions"),
        ((b"1;" + b"x" * 990 + b"\r\na\r\n") * 17, 400, "Too many chunk extensions"),
    ],
)
@pytest.mark.parametrize("size", [1, 100_000])
def test_a_malformed_or_endless_body_is_refused(data: bytes, status: int, message: str, size: int) -> None:
    with pytest.raises(RefusedError) as caught:
        fed(ChunkedBody(100), data, size=size)
    assert (caught.value.status, caught.value.message) == (status, message)


def test_tiny_chunks_are_decoded_in_turns_of_bounded_work() -> None:
    body, chunks = ChunkedBody(10_000), 3 * STEPS_PER_TURN + 1
    sizes = []
    after = body.feed(b"1\r\na\r\n" * chunks + b"0\r\n\r\nGET /")
    while body.is_behind:
        sizes.append(len(body.content()))
        after = body.resume()
    assert sizes == [STEPS_PER_TURN, 2 * STEPS_PER_TURN, 3 * STEPS_PER_TURN]
    assert (after, body.content()) == (b"GET /", b"a" * chunks)


@pytest.mark.parametrize("body", [LengthBody(10), ChunkedBody(100)])
def test_the_size_is_what_is_held_in_memory(body: Body) -> None:
    assert body.size == 0
    body.feed(b"5\r\nhel")
    assert body.size == (6 if isinstance(body, LengthBody) else 3)


@pytest.mark.parametrize("body", [ChunkedBody(1000), LengthBody(1000)])
def test_a_body_is_freed_with_its_last_reference(body: Body) -> None:
    body = type(body)(1000)
    body.feed(b"a\r\n0123456789")
    reference = weakref.ref(body)
    gc.disable()
    try:
        del body
        assert reference() is None
    finally:
        gc.enable()


def test_chunks_whose_size_lines_are_much_longer_than_their_content_are_refused() -> None:
    with pytest.raises(RefusedError, match="Too much overhead in chunks"):
        fed(ChunkedBody(10_000), b"000000000000001\r\na\r\n" * 6000, size=1000)

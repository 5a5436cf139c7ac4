"""Hostile heads and chunked bodies: parsed, or refused with a status, and nothing else."""

from __future__ import annotations

from contextlib import suppress

from hypothesis import given
from hypothesis import strategies as st

from pxbin_site.server.http1.body import ChunkedBody
from pxbin_site.server.http1.head import RefusedError, parse
from tests.support.sizes import fuzzed

LINES = [
    b"GET / HTTP/1.1", b"POST /v1/messages?a=%00 HTTP/1.0", b"GET http://h/%ff HTTP/1.1", b"OPTIONS * HTTP/1.1", b"GET / HTTP/9.9",
    b"Host: h", b"Content-Length: 5", b"content-length: +5", b"Content-Length: " + b"9" * 18, b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked", b"Connection: close, upgrade", b"Upgrade: websocket", b"Expect: 100-continue", b"X_A: b",
    b" folded", b": nameless", b"X: \x00", b"X: \xff", b"X:", b"",
]  # fmt: skip
CHUNKS = [
    b"1\r\na\r\n",
    b"0\r\n\r\n",
    b"0\r\nX: y\r\n\r\n",
    b"ffffffffffffff\r\n",
    b"-1\r\n",
    b"2;x=y\r\nab\r\n",
    b"3\r\nab\r\n",
    b"\r\n",
    b"a",
]


@given(lines=st.lists(st.sampled_from(LINES) | st.binary(max_size=30), min_size=1, max_size=6))
@fuzzed()
def test_a_head_is_parsed_or_refused(lines: list[bytes]) -> None:
    with suppress(RefusedError):
        head = parse(b"\r\n".join(lines), max_target=100, max_headers=4)
        assert head.length is None or head.length >= 0
        assert all(b"\r" not in name + value and b"\n" not in name + value for name, value in head.headers)
        assert len(head.headers) <= 4


@given(pieces=st.lists(st.sampled_from(CHUNKS) | st.binary(max_size=12), max_size=8), size=st.integers(1, 7))
@fuzzed()
def test_a_chunked_body_is_decoded_or_refused_in_any_split(pieces: list[bytes], size: int) -> None:
    wire = b"".join(pieces)
    assert _decoded(wire, size) == _decoded(wire, max(len(wire), 1))


def _decoded(wire: bytes, size: int) -> tuple[bytes, bytes] | int | None:
    """The body and the bytes after it, the status of the refusal, or nothing if the body is incomplete."""
    body = ChunkedBody(limit=20)
    try:
        for start in range(0, len(wire), size):
            rest = body.feed(wire[start : start + size])
            if rest is not None:
                return body.content(), rest + wire[start + size :]
    except RefusedError as refused:
        return refused.status
    return None

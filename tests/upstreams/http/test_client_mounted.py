"""Transports that answer instead of a network."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import msgspec
import pytest

from tests.support.scripted_server import JSON, Entry, ask, failure
from upstreams.http import client
from upstreams.http.client import UpstreamResponse


class Bytes(httpx.AsyncByteStream):
    def __init__(self, pieces: list[bytes | float | Exception]) -> None:
        self.pieces = pieces
        self.closed = False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            if isinstance(piece, Exception):
                raise piece
            if isinstance(piece, float):
                await asyncio.sleep(piece)
            else:
                yield piece

    async def aclose(self) -> None:
        self.closed = True


class Mounted(httpx.AsyncBaseTransport):
    """Answers with these pieces, or raises."""

    def __init__(self, *pieces: bytes | float | Exception, at_once: Exception | None = None) -> None:
        self.stream = Bytes([*pieces])
        self.at_once = at_once
        self.request: httpx.Request | None = None

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.request = request
        if self.at_once:
            raise self.at_once
        return httpx.Response(200, headers={"Retry-After": "1"}, stream=self.stream)


async def test_a_mounted_transport_answers_for_its_scheme() -> None:
    transport = Mounted(b"a", b"b")
    client.mount("test", transport)
    async with client.open("POST", "test://x/v1", JSON, b"{}", upstream=Entry(1, 2, 3)) as answer:
        response: UpstreamResponse = answer
        assert (response.status, response.headers.get("retry-after"), await response.read()) == (200, "1", b"ab")
    assert transport.request is not None
    assert transport.request.extensions == {"timeout": {"connect": 1, "pool": 1, "read": 2}}
    assert (transport.request.content, transport.stream.closed) == (b"{}", True)


@pytest.mark.parametrize(
    ("transport", "kind", "answered"),
    [
        (Mounted(at_once=httpx.ConnectError("no")), "connect", False),
        (Mounted(at_once=httpx.ReadTimeout("late")), "timeout", False),
        (Mounted(b"a", httpx.ReadError("cut")), "network", True),
        (Mounted(b"a", 10.0), "timeout", True),
    ],
)
async def test_failures_of_a_mounted_transport(transport: Mounted, kind: str, answered: bool) -> None:
    client.mount("test", transport)
    actual = await failure("test://x/", upstream=Entry(idle_timeout=0.1))
    assert (actual[0], actual[2]) == (kind, answered)


async def test_the_echo_upstream_is_reached_without_being_mounted() -> None:
    body = msgspec.json.encode({"model": "echo", "messages": [{"role": "user", "content": "hello"}]})
    status, answer = await ask("echo://builtin/v1/chat/completions", body=body)
    assert (status, msgspec.json.decode(answer)["object"]) == (200, "chat.completion")

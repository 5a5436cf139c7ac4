"""Upstreams whose bytes a test scripts, in the test's own event loop, and calls of them with the client of the gateway."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import pytest

from proxy.translation.errors import UpstreamFailed
from tests.support.waiting import PATIENCE
from upstreams.catalog.entries import Network
from upstreams.http import client

Script = Callable[["Talk"], Awaitable[None]]
JSON = [("content-type", "application/json")]


class Entry(NamedTuple):
    """The part of an upstream's entry that a call needs."""

    connect_timeout: float = PATIENCE
    first_byte_timeout: float = PATIENCE
    idle_timeout: float = PATIENCE
    network: Network | None = None


ENTRY = Entry()


class Talk:
    """One connection, seen by the upstream. A script reads requests and writes bytes."""

    def __init__(self, upstream: Upstream, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> None:
        self.upstream = upstream
        self.reader = reader
        self.writer = writer
        self.number = number

    async def request(self) -> bytes:
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")), 0)
        request = head + await self.reader.readexactly(length)
        self.upstream.requests.append(request)
        self.upstream.got_request.set()
        return request

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, body: bytes = b"{}", head: str = "", status: str = "200 OK") -> None:
        await self.say(f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{head}\r\n".encode() + body)

    async def wait_closed(self) -> None:
        """Until the gateway has closed the connection."""
        with contextlib.suppress(ConnectionResetError):
            assert await self.reader.read() == b""


class Upstream:
    """A scripted server: each connection runs the script; ``connections`` and ``requests`` record what arrived."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.connections = 0
        self.requests: list[bytes] = []
        self.got_request = asyncio.Event()
        self.done = asyncio.Event()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.script(Talk(self, reader, writer, self.connections))
            self.done.set()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the gateway closed a kept connection
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def serving(script: Script, *, tls: ssl.SSLContext | None = None) -> AsyncIterator[tuple[Upstream, str]]:
    upstream = Upstream(script)
    server = await asyncio.start_server(upstream.talk, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield upstream, f"http{'s' if tls else ''}://127.0.0.1:{port}/v1/x"
    finally:
        await client.close_all()
        server.close()
        await server.wait_closed()


async def ask(url: str, *, body: bytes = b"{}", upstream: Entry = ENTRY, method: str = "POST") -> tuple[int, bytes]:
    async with client.open(method, url, JSON, body, upstream=upstream) as answer:
        return answer.status, await answer.read()


async def failure(url: str, *, upstream: Entry = ENTRY) -> tuple[str, str, bool]:
    """Kind, message, and whether the upstream had begun to answer."""
    with pytest.raises(UpstreamFailed) as caught:
        await ask(url, upstream=upstream)
    return caught.value.failure.kind, caught.value.failure.message, caught.value.answered


async def answer_all(talk: Talk) -> None:
    """Answer every request on the connection."""
    while True:
        await talk.request()
        await talk.answer(b"%d" % talk.number)


def answer_once_with(data: bytes, *, hang: bool = False) -> Script:
    """Answer the first request with these bytes, then close or hang."""

    async def script(talk: Talk) -> None:
        await talk.request()
        await talk.say(data)
        if hang:
            await talk.wait_closed()

    return script

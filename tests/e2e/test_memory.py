"""The server's memory does not grow with the number of requests that it has answered."""

import asyncio
import json
import sqlite3
from contextlib import closing

import psutil
import pytest

from tests.support.gateway import Gateway
from tests.support.sizes import PROOF
from tests.support.waiting import PATIENCE, eventually

REQUESTS = 50_000 if PROOF else 4_000
ALLOWED_MIB = 12
"""Growth after the first part, which fills pools and caches: what Python's allocator may keep in its pages."""


async def send(gateway: Gateway, count: int) -> None:
    """Send so many requests over 16 connections: every pair of dialects, streams and whole answers, some refused."""
    numbers = iter(range(count))

    async def client() -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        for number in numbers:
            writer.write(request(gateway, number))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            if b"chunked" in head:
                await reader.readuntil(b"\r\n0\r\n\r\n")
            else:
                await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
            assert head.startswith(b"http/1.1 404" if number % 50 == 0 else b"http/1.1 200"), head
        writer.close()

    await asyncio.gather(*(client() for _ in range(16)))


def request(gateway: Gateway, number: int) -> bytes:
    """The bytes of one request; each is different from all others."""
    path = "messages" if number % 2 else "chat/completions"
    model = "no-such-model" if number % 50 == 0 else "echo" if number // 2 % 2 else "echo-anthropic"
    messages = [{"role": "user", "content": f"request {number} of many"}]
    body = json.dumps({"model": model, "max_tokens": 100, "stream": number // 4 % 2 == 0, "messages": messages}).encode()
    head = f"POST /v1/{path} HTTP/1.1\r\nhost: gateway\r\nx-api-key: {gateway.client_key}\r\ncontent-length: {len(body)}\r\n\r\n"
    return head.encode() + body


def await_rows(gateway: Gateway, number: int) -> None:
    """Wait until all requests are in the log: until then, the writer has not begun or is in the middle of its work."""
    with closing(sqlite3.connect(gateway.data_dir / "pxbin.sqlite3", timeout=20)) as database:
        count = "SELECT count(*) FROM billing_requestlog"
        eventually(lambda: database.execute(count).fetchone()[0] >= number, seconds=2 * PATIENCE, every=0.1)


def memory(gateway: Gateway) -> dict[str, float]:
    """Resident MiB of the server and of its children."""
    web = psutil.Process(gateway.process.pid)
    children = sum(child.memory_info().rss for child in web.children(recursive=True))
    return {"web": web.memory_info().rss / 2**20, "children": children / 2**20}


@pytest.mark.timeout(600 + REQUESTS // 20)
def test_memory_stays_flat():
    with Gateway.started() as gateway:
        asyncio.run(send(gateway, REQUESTS // 4))
        await_rows(gateway, REQUESTS // 4)
        before = memory(gateway)
        asyncio.run(send(gateway, REQUESTS))
        await_rows(gateway, REQUESTS // 4 + REQUESTS)
        after = memory(gateway)
    grown = {name: round(after[name] - before[name], 1) for name in after}
    assert {name: mib for name, mib in grown.items() if mib > ALLOWED_MIB} == {}

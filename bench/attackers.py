"""Attackers without a key. `python -m bench.attackers NAME PORT` attacks until its standard input ends.

It prints a line when the attack is at full strength. Every attacker uses connections of its own and opens a new one when the gateway
closes it. The process lowers its priority, so that the measured load on the same core is delayed as little as possible.
"""

import asyncio
import os
import re
import resource
import sys
import urllib.parse
from collections.abc import Awaitable, Callable

import uvloop

HEAD = b"POST /v1/messages HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
ONE_BYTE_CHUNKS = b"1\r\na\r\n" * 20_000
ESCAPES = b'{"model":"x","messages":[{"role":"user","content":"' + b"\\n" * 4_000_000 + b'\\ud800"}]}'
MANY_KEYS = b'{"model":"x",' + b",".join(b'"k%d":1' % number for number in range(500_000)) + b"}"
BODY_BYTES = 33_000_000
PAUSE = 0.05
NICENESS = 10


class Connection:
    """A connection that may be closed by the other side at any time."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._reader: asyncio.StreamReader
        self._writer: asyncio.StreamWriter

    async def __aenter__(self) -> "Connection":
        self._reader, self._writer = await asyncio.open_connection("127.0.0.1", self._port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._writer.close()

    async def send(self, data: bytes) -> None:
        """Send, as fast as the other side reads. Raises OSError if it has closed the connection."""
        self._writer.write(data)
        await self._writer.drain()
        if self._reader.at_eof():
            raise ConnectionResetError

    async def receive(self) -> bytes:
        """The next bytes; empty if the other side has closed."""
        return await self._reader.read(1 << 16)


async def one_byte_chunks(connection: Connection) -> None:
    """A body in chunks of one byte, without an end."""
    await connection.send(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await connection.send(ONE_BYTE_CHUNKS)


async def one_byte_segments(connection: Connection) -> None:
    """A head in segments of one byte, as fast as possible."""
    await connection.send(b"GET /health HTTP/1.1\r\nHost: bench\r\nX-Long: ")
    while True:
        await connection.send(b"a")


async def pipelined_requests(connection: Connection) -> None:
    """Requests for an unknown path, sent without waiting for responses."""

    async def read() -> None:
        while await connection.receive():
            pass

    reading = asyncio.ensure_future(read())
    try:
        while not reading.done():
            await connection.send(b"GET /v1/nothing HTTP/1.1\r\nHost: bench\r\n\r\n" * 500)
    finally:
        reading.cancel()


async def unfinished_bodies(connection: Connection) -> None:
    """A large body whose last byte never arrives."""
    await connection.send(HEAD + b"Content-Length: %d\r\n\r\n" % BODY_BYTES)
    for _ in range(BODY_BYTES // 1_000_000):
        await connection.send(b"a" * 1_000_000)
    await connection.receive()


async def slow_heads(connection: Connection) -> None:
    """A head that grows by one byte in PAUSE seconds times ten."""
    await connection.send(b"POST /v1/messages HTTP/1.1\r\nHost: bench\r\nX-A: ")
    while True:
        await connection.send(b"a")
        await asyncio.sleep(PAUSE * 10)


async def idle_connections(connection: Connection) -> None:
    """A connection that sends nothing."""
    await connection.receive()


async def escaped_bodies(connection: Connection) -> None:
    """An 8 MB string of escapes with half of a surrogate pair at its end."""
    await _whole_body(connection, ESCAPES)


async def many_keys(connection: Connection) -> None:
    """An object with half a million keys."""
    await _whole_body(connection, MANY_KEYS)


async def wrong_keys(connection: Connection) -> None:
    """Requests with a wrong key, one after the other."""
    body = b'{"model":"x"}'
    while True:
        await connection.send(HEAD + b"x-api-key: pxb_%s\r\nContent-Length: %d\r\n\r\n%s" % (b"0" * 40, len(body), body))
        if not await connection.receive():
            return


async def wrong_logins(connection: Connection) -> None:
    """Logins with a wrong password, as fast as they are answered."""
    await connection.send(b"GET /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: keep-alive\r\n\r\n")
    page = b""
    while b"</html>" not in page:
        page += (data := await connection.receive())
        if not data:
            return
    token = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    cookie = re.search(rb"(?i)set-cookie: (csrftoken=[^;]+)", page)
    if not token or not cookie:
        return
    fields = {"csrfmiddlewaretoken": token[1].decode(), "username": "admin", "password": "wrong"}
    body = urllib.parse.urlencode(fields).encode()
    head = (
        b"POST /admin/login/ HTTP/1.1\r\nHost: 127.0.0.1\r\nCookie: %s\r\nContent-Type: application/x-www-form-urlencoded\r\n" % cookie[1]
    )
    while True:
        await connection.send(head + b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        if not await connection.receive():
            return


async def _whole_body(connection: Connection, body: bytes) -> None:
    await connection.send(HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    await connection.receive()


ATTACKS: dict[str, tuple[Callable[[Connection], Awaitable[None]], int]] = {
    "one-byte chunks": (one_byte_chunks, 4),
    "one-byte segments": (one_byte_segments, 4),
    "pipelined requests": (pipelined_requests, 2),
    "unfinished bodies": (unfinished_bodies, 40),
    "slow heads": (slow_heads, 1000),
    "idle connections": (idle_connections, 3000),
    "escaped bodies": (escaped_bodies, 2),
    "objects of many keys": (many_keys, 2),
    "wrong keys": (wrong_keys, 8),
    "wrong logins": (wrong_logins, 24),
}
"""The attack and the number of its connections at once."""


async def attack(name: str, port: int) -> None:
    """Attack until standard input ends."""
    method, connections = ATTACKS[name]

    async def repeat() -> None:
        while True:
            try:
                async with Connection(port) as connection:
                    await method(connection)
            except OSError:
                await asyncio.sleep(PAUSE)  # closed or refused: the next connection follows

    attackers = [asyncio.ensure_future(repeat()) for _ in range(connections)]
    await asyncio.sleep(PAUSE * 20)
    print("attacking", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for attacker in attackers:
        attacker.cancel()


if __name__ == "__main__":
    os.nice(NICENESS)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    uvloop.run(attack(sys.argv[1], int(sys.argv[2])))

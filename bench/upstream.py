"""The upstream of the benchmark: a process that answers from memory on a bare asyncio protocol, much faster than a gateway.

`python -m bench.upstream` prints its port and serves until its standard input ends. The first segment of a path selects how
a stream is sent: `/burst` in one write, `/apart` one write for each event, `/slow` one event every PAUSE seconds.
"""

import asyncio
import sys
from typing import cast

import uvloop

from bench.answers import CHAT, COMPLETE_BODIES, EVENTS, MESSAGES

PAUSE = 0.1
MODES = ("burst", "apart", "slow")

_SSE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
_END = b"0\r\n\r\n"


def _chunked(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


def _plain(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)


_COMPLETE_RESPONSES = {path: _plain(body) for path, body in COMPLETE_BODIES.items()}
_EVENTS = {
    path: [_SSE_HEAD + _chunked(events[0]), *map(_chunked, events[1:-1]), _chunked(events[-1]) + _END] for path, events in EVENTS.items()
}
_BURST = {path: b"".join(events) for path, events in _EVENTS.items()}
_NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Upstream(asyncio.Protocol):
    """One connection, without pipelining."""

    def __init__(self) -> None:
        self._buffer = b""
        self._parts: list[bytes] = []
        self._missing = 0
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is established."""
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, _: Exception | None) -> None:
        """The connection is closed."""
        if self._timer is not None:
            self._timer.cancel()

    def data_received(self, data: bytes) -> None:
        """Receive a part of a request, of any size."""
        if self._missing:
            self._parts.append(data)
            self._missing -= len(data)
            if self._missing <= 0:
                self._answer(b"".join(self._parts))
            return
        data = self._buffer + data
        end = data.find(b"\r\n\r\n")
        if end < 0:
            self._buffer = data
            return
        self._buffer = b""
        length = 0
        for line in data[:end].split(b"\r\n"):
            if line[:15].lower() == b"content-length:":
                length = int(line[15:])
        self._parts = [data]
        self._missing = end + 4 + length - len(data)
        if self._missing <= 0:
            self._answer(data)

    def _answer(self, request: bytes) -> None:
        self._parts, self._missing = [], 0
        path = request[: request.index(b"\r\n")].split(b" ")[1].decode()
        mode, _, rest = path[1:].partition("/")
        kind = CHAT if rest.endswith("/completions") else MESSAGES if rest.endswith("/messages") else None
        if kind is None or mode not in MODES:
            self._transport.write(_NOT_FOUND)
        elif b'"stream":true' not in request and b'"stream": true' not in request:
            self._transport.write(_COMPLETE_RESPONSES[kind])
        elif mode == "burst":
            self._transport.write(_BURST[kind])
        elif mode == "apart":
            for event in _EVENTS[kind]:
                self._transport.write(event)
        else:
            self._send_slowly(_EVENTS[kind], 0)

    def _send_slowly(self, events: list[bytes], index: int) -> None:
        self._transport.write(events[index])
        if index + 1 < len(events):
            self._timer = asyncio.get_running_loop().call_later(PAUSE, self._send_slowly, events, index + 1)


async def main() -> None:
    """Serve until standard input ends."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Upstream, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    uvloop.run(main())

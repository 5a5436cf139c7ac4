"""A scripted provider on loopback: it records what it was sent and answers what the test has laid ready.

    upstream.reply(json_reply({"id": "chatcmpl-1", ...}))          # for the next request
    upstream.reply(sse(b"data: {}", 0.2, RESET))                   # then a stream: bytes, pauses (seconds or a condition), an end
    upstream.otherwise(lambda request: json_reply({...}))          # for all requests without a queued reply
    ...
    assert [request.json() for request in upstream.requests] == [{...}]

It speaks HTTP/1.1 by hand, since an HTTP library would not let it misbehave. It runs in a thread of its own, so tests may
be plain or async functions.
"""

import asyncio
import json
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.support.waiting import PATIENCE, eventually, eventually_async


class Ending:
    """The ways in which an answer ends early."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return self.name


RESET = Ending("RESET")
"""The connection is reset (RST): the other side sees an error."""
CLOSE = Ending("CLOSE")
"""The connection is closed in the middle of the body."""
HANG = Ending("HANG")
"""Nothing more comes, and the connection stays open until the other side closes it."""

Pause = float | Callable[[], object]
"""Seconds, or a condition that has to become true."""
Piece = bytes | str | Pause | Ending


@dataclass(frozen=True)
class Reply:
    """What to answer. `pieces`: bytes sent as they are (each a write of its own), pauses, or an ending.

    With `chunked`, the pieces are a body of unknown length, and CLOSE cuts it before its last chunk; else they follow the
    headers just so. `before` is a pause before the status line; HANG or RESET as `instead` replaces the whole answer.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Sequence[Piece] = ()
    chunked: bool = True
    before: Pause = 0.0
    instead: Ending | None = None


def json_reply(value: Any, *, status: int = 200, headers: Mapping[str, str] | None = None, before: Pause = 0.0) -> Reply:
    """A whole JSON answer."""
    body = json.dumps(value).encode()
    return bytes_reply(body, status=status, headers={"content-type": "application/json", **(headers or {})}, before=before)


def bytes_reply(body: bytes, *, status: int = 200, headers: Mapping[str, str] | None = None, before: Pause = 0.0) -> Reply:
    """A whole answer of any kind."""
    return Reply(status, {"content-length": str(len(body)), **(headers or {})}, (body,), chunked=False, before=before)


def sse(*pieces: Piece, headers: Mapping[str, str] | None = None, before: Pause = 0.0) -> Reply:
    """An event stream; the pieces hold whole frames, or parts of them, with their line ends."""
    return Reply(200, {"content-type": "text/event-stream", **(headers or {})}, pieces, before=before)


def event(value: Any, *, name: str | None = None) -> bytes:
    """One frame of an event stream: `data` as JSON (a text goes as it is), with its `event` line where it has a name."""
    text = value if isinstance(value, str) else json.dumps(value)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


@dataclass
class Received:
    """One request, as it arrived."""

    method: str
    path: str
    headers: list[tuple[str, str]]
    body: bytes
    arrived: float
    left_early: threading.Event = field(default_factory=threading.Event)
    """Set when the other side closed before the answer was complete."""
    answered: threading.Event = field(default_factory=threading.Event)
    """Set when the whole answer has been written."""

    def header(self, name: str) -> str | None:
        """The first value of a header, by its name in any case."""
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class Loop:
    """An event loop in a thread, for all fake upstreams of a test process."""

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, name="fake upstreams", daemon=True).start()

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine there and wait for it."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(PATIENCE)


class FakeUpstream:
    """A provider; see the module's page."""

    def __init__(self, loop: Loop) -> None:
        self.requests: list[Received] = []
        self.connections = 0
        """Connections open now."""
        self._loop = loop
        self._ready: deque[Reply | Callable[[Received], Reply]] = deque()
        self._otherwise: Callable[[Received], Reply] = _nothing_ready
        self._tasks: set[asyncio.Task[None]] = set()
        self._server = loop.call(self._listen())
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def reply(self, *replies: Reply | Callable[[Received], Reply]) -> None:
        """Lay answers ready, one for each of the next requests."""
        self._ready.extend(replies)

    def otherwise(self, answer: Reply | Callable[[Received], Reply]) -> None:
        """What all further requests get."""
        self._otherwise = answer if callable(answer) else lambda _request: answer

    def wait_for(self, number: int) -> list[Received]:
        """Wait until so many requests have arrived, and return them all."""
        eventually(lambda: len(self.requests) >= number, every=0.005, message=f"{number} requests did not arrive")
        return self.requests

    def stop(self) -> None:
        """Close the port and every connection."""
        self._loop.call(self._close())

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=64 * 1024 * 1024)

    async def _close(self) -> None:
        self._server.close()
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        early = b""
        try:
            while (request := await _read(reader, early)) is not None:
                self.requests.append(request)
                answer = self._ready.popleft() if self._ready else self._otherwise
                goes_on, early = await _write(answer(request) if callable(answer) else answer, request, reader, writer)
                if not goes_on:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # The other side left while it spoke; requests that were complete are recorded.
        finally:
            self.connections -= 1
            writer.close()


def _nothing_ready(request: Received) -> Reply:
    return json_reply({"error": {"message": f"the test has laid no answer ready for {request.method} {request.path}"}}, status=599)


async def _read(reader: asyncio.StreamReader, early: bytes) -> Received | None:
    """The next request of a connection, which begins with what was read `early`; None when it was closed between two."""
    try:
        head = (early + await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    except asyncio.IncompleteReadError as error:
        if early or error.partial:
            raise
        return None
    first, *lines = head.removesuffix("\r\n\r\n").split("\r\n")
    method, path, _ = first.split(" ", 2)
    headers = [(name, value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    values = {name.lower(): value for name, value in headers}
    if values.get("transfer-encoding", "").lower() == "chunked":
        body = await _read_chunks(reader)
    else:
        body = await reader.readexactly(int(values.get("content-length", 0)))
    return Received(method, path, headers, body, time.monotonic())


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    body = b""
    while size := int((await reader.readline()).split(b";")[0], 16):
        body += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return body


async def _write(reply: Reply, request: Received, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> tuple[bool, bytes]:
    """Answer one request. Returns whether the connection can be used again, and the first bytes of the next request."""
    leaving = asyncio.ensure_future(reader.read(1))
    answering = asyncio.ensure_future(_answer(reply, writer))
    try:
        await asyncio.wait((leaving, answering), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():  # the client closed, or sent the next request too early
            request.left_early.set()
            return False, b""
        if not answering.result():
            return False, b""
        request.answered.set()
    except ConnectionError:
        request.left_early.set()
        return False, b""
    finally:
        answering.cancel()
        early = await _forget(leaving, answering)
    return True, early


async def _forget(leaving: "asyncio.Future[bytes]", answering: "asyncio.Future[bool]") -> bytes:
    """Cancel both tasks without warnings about unused results; returns what has been read."""
    leaving.cancel()
    read, _ = await asyncio.gather(leaving, answering, return_exceptions=True)
    return read if isinstance(read, bytes) else b""


async def _answer(reply: Reply, writer: asyncio.StreamWriter) -> bool:
    """Write an answer; returns whether it was complete."""
    await _pause(reply.before)
    if reply.instead is not None:
        return await _end(reply.instead, writer)
    headers = dict(reply.headers)
    if reply.chunked:
        headers["transfer-encoding"] = "chunked"
    writer.write(f"HTTP/1.1 {reply.status} Status\r\n".encode())
    writer.write("".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode() + b"\r\n")
    await writer.drain()
    for piece in reply.pieces:
        if isinstance(piece, Ending):
            return await _end(piece, writer)
        if not isinstance(piece, bytes | str):
            await _pause(piece)
            continue
        content = piece.encode() if isinstance(piece, str) else piece
        writer.write(b"%x\r\n%b\r\n" % (len(content), content) if reply.chunked else content)
        await writer.drain()
        await asyncio.sleep(0)
    if reply.chunked:
        writer.write(b"0\r\n\r\n")
    await writer.drain()
    return True


async def _pause(pause: Pause) -> None:
    if callable(pause):
        await eventually_async(pause, every=0.005)
    else:
        await asyncio.sleep(pause)


async def _end(ending: Ending, writer: asyncio.StreamWriter) -> bool:
    if ending is HANG:
        await asyncio.Event().wait()
    if ending is RESET:
        sock: socket.socket = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()
    return False

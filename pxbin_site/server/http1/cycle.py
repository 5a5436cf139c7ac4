"""One request and its answer, as an ASGI application sees them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol

from pxbin_site.server.http1.head import Head
from pxbin_site.server.http1.limits import Limits

logger = logging.getLogger("pxbin.server")

ASGI = {"version": "3.0", "spec_version": "2.3"}
NO_BODY = frozenset({204, 304})
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
FRAMED_BY_US = frozenset({b"connection", b"transfer-encoding", b"keep-alive", b"date", b"server"})
"""Headers of an answer that the server alone decides; an application's are left out."""


def status_line(status: int) -> bytes:
    """``HTTP/1.1 200 OK`` with its line end; unknown numbers get no words."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


class MisuseError(RuntimeError):
    """The application did not keep to ASGI."""


class Line(Protocol):
    """What a cycle needs of the connection that it answers on."""

    loop: asyncio.AbstractEventLoop
    limits: Limits
    keep_alive: bool
    paused: bool

    @property
    def application(self) -> Callable[..., Awaitable[None]]:
        """The ASGI application."""

    @property
    def server(self) -> Any:
        """The server: ``draining`` and ``common_headers`` are read."""

    @property
    def client(self) -> Any:
        """The peer's address, as ASGI has it."""

    @property
    def server_name(self) -> Any:
        """Our own address, as ASGI has it."""

    def write(self, data: bytes) -> None:
        """Send bytes."""

    async def writable(self) -> None:
        """Wait until the client has read enough."""

    def abort(self) -> None:
        """Cut the connection."""

    def refuse(self, status: int, message: str, head: Head | None = None) -> None:
        """Answer with an error of the server's own."""

    def cycle_ended(self, cycle: Cycle) -> None:
        """The application has returned."""

    def response_done(self, cycle: Cycle) -> None:
        """The answer is complete."""


class Cycle:
    """Runs the application for one request. The body is complete before it starts.

    Extension ``pxbin.disconnect`` of the scope: a function that takes a callback, called once when the client leaves before
    its answer is complete. It saves applications a task that waits in ``receive``.
    """

    __slots__ = (
        "_body", "_chunked", "_complete", "_gone", "_headers", "_leaving", "_left", "_loop", "_status", "_task", "_wait",
        "connection", "head",
    )  # fmt: skip

    def __init__(self, connection: Line, head: Head, body: bytes) -> None:
        self.connection = connection
        self.head = head
        self._body: bytes | None = body
        self._headers: bytes = b""
        self._status = 0
        self._left: int | None = None
        self._chunked = False
        self._complete = False
        self._gone = False
        self._leaving: list[Callable[[], None]] = []
        self._wait: asyncio.Future[None] | None = None
        self._loop = connection.loop
        self._task = self._loop.create_task(self._run())

    @property
    def responding(self) -> bool:
        """Whether a status has left."""
        return self._status != 0 and not self._headers

    def scope(self) -> dict[str, Any]:
        """The ASGI scope of the request."""
        head, connection = self.head, self.connection
        return {
            "type": "http",
            "asgi": ASGI,
            "http_version": "1.1" if head.minor else "1.0",
            "method": head.method,
            "scheme": "http",
            "path": head.path,
            "raw_path": head.raw_path,
            "root_path": "",
            "query_string": head.query,
            "headers": head.headers,
            "client": connection.client,
            "server": connection.server_name,
            "extensions": {"pxbin.disconnect": self.on_disconnect},
        }

    async def _run(self) -> None:
        try:
            await self.connection.application(self.scope(), self.receive, self.send)
        except asyncio.CancelledError:
            # Only the server cancels this task: 10 s after the client left, or at the end of a drain.
            self._give_up(log=False, status=503, message="The server is shutting down")
        except ConnectionAbortedError as reason:  # the application has nothing to answer with any more: no fault of its own
            logger.warning("An answer was cut: %s %s: %s", self.head.method, self.head.path, reason)
            self._give_up(log=False)
        except Exception:  # the application's own fault must not take the server with it
            logger.exception("The application failed: %s %s", self.head.method, self.head.path)
            self._give_up(log=False)
        else:
            self._give_up(log=True)
        finally:
            self.connection.cycle_ended(self)

    def _give_up(self, *, log: bool, status: int = 500, message: str = "Internal server error") -> None:
        """Answer, or cut, what the application left incomplete."""
        if self._complete or self._gone:
            return
        if log:
            logger.error("The application returned without completing its answer: %s %s", self.head.method, self.head.path)
        self._complete = True
        if self.responding:
            self.connection.abort()
        else:
            self.connection.refuse(status, message, self.head)

    # From the client.

    async def receive(self) -> dict[str, Any]:
        """The body at once; then nothing until the client leaves or the answer is complete."""
        body = self._body
        if body is not None:
            self._body = None
            return {"type": "http.request", "body": body, "more_body": False}
        while not (self._gone or self._complete):
            if self._wait is None:
                self._wait = self._loop.create_future()
            await asyncio.shield(self._wait)
        return {"type": "http.disconnect"}

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the client leaves; at the next turn of the loop if it has left already."""
        if self._gone:
            self._loop.call_soon(callback)
        else:
            self._leaving.append(callback)

    def disconnected(self) -> None:
        """The client left. The application may clean up for a while, then it is cancelled."""
        if self._gone or self._complete:
            return
        self._gone = True
        self._body = None
        self._wake()
        for callback in self._leaving:
            callback()
        self._loop.call_later(self.connection.limits.application_close, self._kill)

    def cancel(self) -> None:
        """End the application now (the server stops)."""
        self._task.cancel()

    def _kill(self) -> None:
        if not self._task.done():
            logger.warning("The application went on after its client had left and was cancelled: %s", self.head.path)
            self._task.cancel()

    def _wake(self) -> None:
        if self._wait is not None and not self._wait.done():
            self._wait.set_result(None)

    # To the client.

    async def send(self, message: dict[str, Any]) -> None:
        """Write one ASGI message; waits while the client reads more slowly than the application writes."""
        kind = message["type"]
        if kind == "http.response.body":
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start":
            if self._status:
                raise MisuseError("the response has already been started")
            self._start(message["status"], message.get("headers", ()))
        else:
            raise MisuseError(f"unknown message {kind!r}")
        if self.connection.paused and not self._gone:
            await self.connection.writable()

    def _start(self, status: int, headers: Any) -> None:
        lines = [status_line(status)]
        for name, value in headers:
            lower = name.lower()
            if lower == b"content-length":
                self._left = int(value)
                if status == 204:
                    continue
            if lower not in FRAMED_BY_US:
                lines.append(b"%b: %b\r\n" % (name, value))
        block = b"".join(lines)
        if block.count(b"\n") != len(lines) or block.count(b"\r") != len(lines):
            raise MisuseError("a header of the response holds a line break")
        self._status = status
        self._headers = block

    def _send_body(self, data: bytes, *, more: bool) -> None:
        if self._gone:
            return
        if not self._status:
            raise MisuseError("the response has not been started")
        if self._complete:
            raise MisuseError("the response is already complete")
        head = self._write_head(len(data), more=more) if self._headers else b""
        framed = self._framed(data, more=more)
        if head or framed:
            self.connection.write(head + framed if head else framed)
        if not more:
            self._finish()

    def _framed(self, data: bytes, *, more: bool) -> bytes:
        """``data`` as it goes out."""
        if self.head.method == "HEAD" or self._status in NO_BODY:
            return b""
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            return chunk if more else chunk + b"0\r\n\r\n"
        if self._left is not None:
            self._left -= len(data)
            if self._left < 0 or (self._left and not more):
                self._complete = True
                self.connection.abort()
                raise MisuseError("the body is not as long as its Content-Length says")
        return data

    def _write_head(self, length: int, *, more: bool) -> bytes:
        """The head as it goes out, once the framing of the body is known."""
        connection, head = self.connection, self.head
        block = self._headers
        self._headers = b""
        keep = head.keep_alive and not connection.server.draining
        if self._left is None and self._status not in NO_BODY and self._status >= 200:
            if not more:
                if length or head.method != "HEAD":
                    block += b"content-length: %d\r\n" % length
                self._left = length
            elif head.minor:
                block += b"transfer-encoding: chunked\r\n"
                self._chunked = True
            else:
                keep = False  # HTTP/1.0 ends such a body by closing
        connection.keep_alive = keep
        if not keep:
            block += b"connection: close\r\n"
        elif not head.minor:
            block += b"connection: keep-alive\r\n"
        return block + connection.server.common_headers

    def _finish(self) -> None:
        self._complete = True
        self._leaving.clear()
        self._wake()
        self.connection.response_done(self)

"""One request and its response as an ASGI application sees them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from http import HTTPStatus
from typing import Any, Protocol

from pxbin_site.server.http1.body_memory import Share
from pxbin_site.server.http1.head import Head
from pxbin_site.server.http1.limits import Limits

logger = logging.getLogger("pxbin.server")

ASGI = {"version": "3.0", "spec_version": "2.3"}
NO_BODY = frozenset({204, 304})
STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
FRAMED_BY_US = frozenset({b"connection", b"transfer-encoding", b"keep-alive", b"date", b"server", b"content-length"})
"""Response headers that concern the server; but for ``Content-Length``, those of an application are dropped."""


_prepared_lines: dict[tuple[bytes, bytes], bytes] = {}


def prepare_lines(headers: Iterable[tuple[bytes, bytes]]) -> None:
    """Encode headers, the same in many responses, once. They are none of :data:`FRAMED_BY_US`."""
    for name, value in headers:
        _prepared_lines[name, value] = b"%b: %b\r\n" % (name, value)


def status_line(status: int) -> bytes:
    """``HTTP/1.1 200 OK`` with its line end; an unknown status has no reason phrase."""
    return STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status


class MisuseError(RuntimeError):
    """The application violated ASGI."""


class CycleConnection(Protocol):
    """The part of the connection that a cycle uses."""

    loop: asyncio.AbstractEventLoop
    limits: Limits
    keep_alive: bool
    paused: bool

    @property
    def application(self) -> Callable[..., Awaitable[None]]:
        """The ASGI application."""

    @property
    def server(self) -> Any:
        """The server, whose ``keeps_alive`` and ``common_headers`` are read."""

    @property
    def client(self) -> Any:
        """The ASGI scope's ``client``."""

    @property
    def server_name(self) -> Any:
        """The ASGI scope's ``server``."""

    def write(self, data: bytes) -> None:
        """Send or buffer bytes."""

    async def writable(self) -> None:
        """Wait while the write buffer is over its high-water mark."""

    def abort(self) -> None:
        """Close the connection without writing what is buffered."""

    def refuse(self, status: int, message: str, head: Head | None = None) -> None:
        """Answer with an error of the server."""

    def cycle_ended(self, cycle: Cycle) -> None:
        """The application has returned."""

    def response_done(self, cycle: Cycle) -> None:
        """The response is complete."""


class Cycle:
    """Runs the application for one request, whose body is complete.

    The scope has the extension ``pxbin.disconnect``: a function that registers a callback, which is called once if the client
    disconnects before the response is complete. With it an application needs no task that waits in ``receive``. The extension
    ``pxbin.refusal`` is set where the body was not received; it says why the request is to be refused (:mod:`.gate`).

    ``pxbin.count_body`` is a function that counts the bytes of the body anew and returns whether there is memory for them.

    ``share``: the body's part of the memory for bodies, which the connection closes at the end.
    """

    __slots__ = (
        "_body",
        "_chunked",
        "_client_gone",
        "_complete",
        "_disconnect_callbacks",
        "_disconnected",
        "_headers",
        "_loop",
        "_refusal",
        "_remaining",
        "_status",
        "_task",
        "connection",
        "head",
        "share",
    )  # fmt: skip

    def __init__(
        self, connection: CycleConnection, head: Head, body: bytes, share: Share | None = None, refusal: object | None = None
    ) -> None:
        self.connection = connection
        self.head = head
        self.share = share
        self._refusal = refusal
        self._body: bytes | None = body
        self._headers: bytes = b""
        self._status = 0
        self._remaining: int | None = None
        self._chunked = False
        self._complete = False
        self._client_gone = False
        self._disconnect_callbacks: list[Callable[[], None]] = []
        self._disconnected: asyncio.Future[None] | None = None
        self._loop = connection.loop
        self._task = self._loop.create_task(self._run())

    @property
    def responding(self) -> bool:
        """Whether the head of the response has been written."""
        return self._status != 0 and not self._headers

    @property
    def is_complete(self) -> bool:
        """Whether the whole response has been written; the application may run on."""
        return self._complete

    def scope(self) -> dict[str, Any]:
        """The ASGI scope of the request."""
        head, connection = self.head, self.connection
        extensions: dict[str, object] = {"pxbin.disconnect": self.on_disconnect}
        if self.share is not None:
            extensions["pxbin.count_body"] = self.share.try_resize
        if self._refusal is not None:
            extensions["pxbin.refusal"] = self._refusal
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
            "extensions": extensions,
        }

    async def _run(self) -> None:
        try:
            await self.connection.application(self.scope(), self.receive, self.send)
        except asyncio.CancelledError:
            # Only the server cancels this task: 10 s after the client left, or at the end of a drain.
            self._give_up(log=False, status=503, message="The server is shutting down")
        except ConnectionAbortedError as reason:  # raised by an application that cannot complete its response; not a programming error
            logger.warning("A response was cut off: %s %s: %s", self.head.method, self.head.path, reason)
            self._give_up(log=False)
        except Exception:  # an error of the application must not stop the server
            logger.exception("The application failed: %s %s", self.head.method, self.head.path)
            self._give_up(log=False)
        else:
            self._give_up(log=True)
        finally:
            self.connection.cycle_ended(self)

    def _give_up(self, *, log: bool, status: int = 500, message: str = "Internal server error") -> None:
        """Answer with an error, or abort a response that the application left incomplete."""
        if self._complete or self._client_gone:
            return
        if log:
            logger.error("The application returned without completing its response: %s %s", self.head.method, self.head.path)
        self._complete = True
        if self.responding:
            self.connection.abort()
        else:
            self.connection.refuse(status, message, self.head)

    # From the client.

    async def receive(self) -> dict[str, Any]:
        """The whole body; the next call waits until the client disconnects or the response is complete."""
        body = self._body
        if body is not None:
            self._body = None
            return {"type": "http.request", "body": body, "more_body": False}
        while not (self._client_gone or self._complete):
            if self._disconnected is None:
                self._disconnected = self._loop.create_future()
            await asyncio.shield(self._disconnected)
        return {"type": "http.disconnect"}

    def on_disconnect(self, callback: Callable[[], None]) -> None:
        """Call ``callback`` when the client disconnects; in the next iteration of the loop if it has already."""
        if self._client_gone:
            self._loop.call_soon(callback)
        else:
            self._disconnect_callbacks.append(callback)

    def disconnected(self) -> None:
        """The client disconnected. The application is cancelled after ``application_close`` seconds."""
        if self._client_gone or self._complete:
            return
        self._client_gone = True
        self._body = None
        self._wake_receiver()
        for callback in self._disconnect_callbacks:
            callback()
        self._loop.call_later(self.connection.limits.application_close, self._cancel_if_running)

    def cancel(self) -> None:
        """Cancel the application, because the server stops."""
        self._task.cancel()

    def _cancel_if_running(self) -> None:
        if not self._task.done():
            logger.warning("The application continued after its client had disconnected and was cancelled: %s", self.head.path)
            self._task.cancel()

    def _wake_receiver(self) -> None:
        if self._disconnected is not None and not self._disconnected.done():
            self._disconnected.set_result(None)

    # To the client.

    async def send(self, message: dict[str, Any]) -> None:
        """Write one ASGI message; waits while the write buffer is over its high-water mark."""
        kind = message["type"]
        if kind == "http.response.body":
            self._send_body(message.get("body", b""), more=message.get("more_body", False))
        elif kind == "http.response.start":
            if self._status:
                raise MisuseError("the response has already been started")
            self._start(message["status"], message.get("headers", ()))
        else:
            raise MisuseError(f"unknown message {kind!r}")
        if self.connection.paused and not self._client_gone:
            await self.connection.writable()

    def _start(self, status: int, headers: Any) -> None:
        lines = [status_line(status)]
        for header in headers:
            if header.__class__ is tuple and (prepared := _prepared_lines.get(header)) is not None:
                lines.append(prepared)
                continue
            name, value = header
            if (lower := name.lower()) in FRAMED_BY_US:
                if lower != b"content-length":
                    continue
                self._remaining = int(value)
                if status == 204:
                    continue
            lines.append(b"%b: %b\r\n" % (name, value))
        block = b"".join(lines)
        if block.count(b"\n") != len(lines) or block.count(b"\r") != len(lines):
            raise MisuseError("a response header contains a line break")
        self._status = status
        self._headers = block

    def _send_body(self, data: bytes, *, more: bool) -> None:
        if self._client_gone:
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
        """``data`` with the framing of the body."""
        if self.head.method == "HEAD" or self._status in NO_BODY:
            return b""
        if self._chunked:
            chunk = b"%x\r\n%b\r\n" % (len(data), data) if data else b""
            return chunk if more else chunk + b"0\r\n\r\n"
        if self._remaining is not None:
            self._remaining -= len(data)
            if self._remaining < 0 or (self._remaining and not more):
                self._complete = True
                self.connection.abort()
                raise MisuseError("the length of the body differs from its Content-Length")
        return data

    def _write_head(self, length: int, *, more: bool) -> bytes:
        """The bytes of the head, with the header lines of the body's framing."""
        connection, head = self.connection, self.head
        block = self._headers
        self._headers = b""
        keep = head.keep_alive and connection.server.keeps_alive
        if self._remaining is None and self._status not in NO_BODY and self._status >= 200:
            if not more:
                if length or head.method != "HEAD":
                    block += b"content-length: %d\r\n" % length
                self._remaining = length
            elif head.minor:
                block += b"transfer-encoding: chunked\r\n"
                self._chunked = True
            else:
                keep = False  # HTTP/1.0 ends a body of unknown length by closing the connection
        connection.keep_alive = keep
        if not keep:
            block += b"connection: close\r\n"
        elif not head.minor:
            block += b"connection: keep-alive\r\n"
        return block + connection.server.common_headers

    def _finish(self) -> None:
        self._complete = True
        self._disconnect_callbacks.clear()
        self._wake_receiver()
        self.connection.response_done(self)

"""One client connection: it parses one request at a time, within limits of bytes and time, and then runs the application."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum
from time import monotonic
from typing import Any, Protocol

from twisted.internet import protocol
from twisted.python.failure import Failure

from pxbin_site.server import common_headers as edge
from pxbin_site.server.http1.body import Body, ChunkedBody, LengthBody
from pxbin_site.server.http1.cycle import Cycle, status_line
from pxbin_site.server.http1.head import Head, RefusedError, parse, path_of
from pxbin_site.server.http1.limits import Limits
from pxbin_site.server.http1.transport import StreamTransport

TLS_RECORD = 0x16
"""First byte of a TLS handshake; no method of HTTP begins with it."""


class State(Enum):
    """What a connection is doing."""

    HEAD = "head"
    """It waits for a request or reads its head."""
    BODY = "body"
    RUNNING = "running"
    """The application runs; what the client sends is buffered."""
    LINGER = "linger"
    """It was refused: what the client still sends is discarded until it has read the answer."""
    UPGRADED = "upgraded"
    CLOSED = "closed"


HEAD, BODY, RUNNING, LINGER, UPGRADED, CLOSED = State
"""Globals, because an attribute of an enum costs a look-up more for each read."""


class ConnectionServer(Protocol):
    """The part of the server that a connection uses."""

    application: Callable[..., Awaitable[None]]
    limits: Limits
    draining: bool
    common_headers: bytes
    """The header lines ``server`` and ``date``, with the empty line that ends a head."""

    def connection_opened(self, connection: Connection) -> None:
        """A client connected."""

    def connection_closed(self, connection: Connection) -> None:
        """A connection is closed."""

    def cycle_started(self, cycle: Cycle) -> None:
        """An application has been started for a request."""

    def cycle_ended(self, cycle: Cycle) -> None:
        """An application has returned."""

    def has_websocket(self, path: str) -> bool:
        """Whether a path has a websocket; elsewhere an upgrade is ignored, as HTTP allows."""

    def upgrade(self, connection: Connection, head: Head, rest: bytes) -> None:
        """A client has requested a websocket."""


class Connection(protocol.Protocol):
    """The states of one connection: head -> body -> running -> head …, or lingering after a refusal.

    ``deadline`` is in monotonic seconds, or None. The server's ticker compares it, so that no request needs a timer.
    """

    def __init__(self, server: ConnectionServer) -> None:
        self.server = server
        self.limits = server.limits
        self.application = server.application
        self.loop = asyncio.get_running_loop()
        self.state: State = HEAD
        self.keep_alive = True
        self.paused = False
        self.deadline: float | None = None
        self.cycle: Cycle | None = None
        self._buffer = b""
        self._searched = 0
        self._head: Head | None = None
        self._body: Body | None = None
        self._progress = 0
        self._resumed: asyncio.Future[None] | None = None
        self._client_sent_eof = False

    # Twisted protocol.

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name, as those below
        """Start to read; the client has ``header_timeout`` seconds to send a request head."""
        transport: StreamTransport = self.transport
        raw = transport.raw
        raw.set_write_buffer_limits(high=self.limits.write_high_water)
        transport.registerProducer(self, streaming=True)
        self._write = raw.write
        self.client = _pair(transport.peer)
        self.server_name = _pair(transport.host)
        self.deadline = monotonic() + self.limits.header_timeout
        self.server.connection_opened(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """Process the bytes of one read according to the state."""
        state = self.state
        try:
            if state is HEAD:
                self._read_head(self._buffer + data if self._buffer else data)
            elif state is BODY:
                self._read_body(data)
            elif state is RUNNING:
                self._buffer_pipelined(data)
            elif state is LINGER:
                self._discard(data)
        except RefusedError as refused:
            self.refuse(refused.status, refused.message, self._head)

    def readConnectionLost(self) -> None:  # noqa: N802
        """The client closed its sending side. Whether it still reads is unknown, so it counts as gone.

        A running request gets ``half_close_grace`` seconds to answer: simple clients close their side after the request.
        """
        self._client_sent_eof = True
        if self.state is RUNNING and self.cycle is not None and not self.cycle.responding:
            self.loop.call_later(self.limits.half_close_grace, self._client_left)
        else:
            self._client_left()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:  # noqa: ARG002, N802
        """The connection is closed; the running application is notified."""
        self.state = CLOSED
        self.deadline = None
        self._buffer = b""
        self._body = None
        self._wake_writers()
        if self.cycle is not None:
            self.cycle.disconnected()
            self.cycle = None
        self.server.connection_closed(self)

    def pauseProducing(self) -> None:  # noqa: N802
        """The client reads too slowly: applications wait in ``send``, and no further request is read."""
        self.paused = True
        self.deadline = monotonic() + self.limits.write_stall

    def resumeProducing(self) -> None:  # noqa: N802
        """The client has read enough of the buffered bytes."""
        self.paused = False
        if self.state is HEAD:
            self._await_next_request()
            self.transport.resumeProducing()
        elif self.state is RUNNING:
            self.deadline = None
        self._wake_writers()

    def stopProducing(self) -> None:  # noqa: N802
        """Close the connection; Twisted calls this to end a producer."""
        self.abort()

    async def writable(self) -> None:
        """Wait until the client has read enough of the buffered bytes, or the connection is closed."""
        while self.paused and self.state is not CLOSED:
            if self._resumed is None or self._resumed.done():
                self._resumed = self.loop.create_future()
            await asyncio.shield(self._resumed)

    # Reading.

    def _read_head(self, data: bytes) -> None:
        if not self._buffer:
            data = data.lstrip(b"\r\n")  # empty lines between requests are allowed
            if not data:
                return
        end = data.find(b"\r\n\r\n", max(0, self._searched - 3))
        limits = self.limits
        if end > limits.max_head_bytes or (end < 0 and len(data) > limits.max_head_bytes):
            self._buffer = data
            raise RefusedError(431, "Request header fields too large")
        if end < 0:
            if data[0] == TLS_RECORD:
                raise RefusedError(400, "This is TLS; speak plain HTTP here, or put a TLS proxy in front")
            if not self._searched:
                self.deadline = monotonic() + limits.header_timeout
            self._buffer = data
            self._searched = len(data)
            return
        self._buffer = data
        self._searched = 0
        head = parse(data[:end], max_target=limits.max_target_bytes, max_headers=limits.max_headers)
        self._head = head
        self._buffer = b""
        rest = data[end + 4 :]
        if head.upgrade == b"websocket" and head.method == "GET" and not head.length and self.server.has_websocket(head.path):
            self.state = UPGRADED
            self.deadline = None
            self.server.upgrade(self, head, rest)
            return
        self._begin_body(head, rest)

    def _begin_body(self, head: Head, rest: bytes) -> None:
        length = head.length
        if length == 0:
            self._begin_cycle(head, b"", rest)
            return
        limits = self.limits
        if length is not None and length > limits.max_body_bytes:
            raise RefusedError(413, "Request body too large")
        self._body = ChunkedBody(limits.max_body_bytes) if length is None else LengthBody(length)
        self.state = BODY
        self._progress = 0
        self.deadline = monotonic() + limits.body_timeout
        if head.expects_continue and not rest:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if rest:
            self._read_body(rest)

    def _read_body(self, data: bytes) -> None:
        body = self._body
        assert body is not None
        rest = body.feed(data)
        if rest is not None:
            head = self._head
            assert head is not None
            self._body = None
            self._begin_cycle(head, body.content(), rest)
        elif body.taken - self._progress >= self.limits.body_progress:
            self._progress = body.taken
            self.deadline = monotonic() + self.limits.body_timeout

    def _begin_cycle(self, head: Head, body: bytes, rest: bytes) -> None:
        if self.server.draining:
            raise RefusedError(503, "The server is shutting down")
        self.state = RUNNING
        self.deadline = None
        self._buffer = b""
        if rest:
            self._buffer_pipelined(rest)
        self.cycle = Cycle(self, head, body)
        self.server.cycle_started(self.cycle)

    def _buffer_pipelined(self, data: bytes) -> None:
        """Buffer pipelined requests; beyond the limit, stop reading from the socket."""
        self._buffer = self._buffer + data if self._buffer else data
        if len(self._buffer) > self.limits.max_pipelined_bytes:
            self.transport.pauseProducing()

    def _discard(self, data: bytes) -> None:
        self._progress += len(data)
        if self._progress > self.limits.linger_bytes:
            self.abort()

    # Writing.

    def write(self, data: bytes) -> None:
        """Send or buffer bytes. While ``paused``, the application should await :meth:`writable`."""
        self._write(data)

    def response_done(self, cycle: Cycle) -> None:
        """The response is complete: read the next request, or close."""
        if cycle is not self.cycle:
            return
        self.cycle = None
        if not self.keep_alive or self._client_sent_eof:
            self.state = CLOSED
            self.transport.loseConnection()
            self.deadline = monotonic() + self.limits.write_stall
            return
        self.state = HEAD
        self._head = None
        if self.paused:
            self.transport.pauseProducing()  # no further request before the client has read this response
        else:
            self._await_next_request()

    def _await_next_request(self) -> None:
        """Wait for the next request for ``idle_timeout`` seconds, or continue with pipelined bytes."""
        self.deadline = monotonic() + self.limits.idle_timeout
        if self._buffer:
            self.loop.call_soon(self._read_buffered)

    def _read_buffered(self) -> None:
        if self.state is HEAD and self._buffer:
            self.transport.resumeProducing()
            data, self._buffer = self._buffer, b""
            self.dataReceived(data)

    def cycle_ended(self, cycle: Cycle) -> None:
        """The application has returned."""
        self.server.cycle_ended(cycle)

    def refuse(self, status: int, message: str, head: Head | None) -> None:
        """Answer with an error of the server, discard input for a while so that the client can read the answer, and close."""
        if self.state in (CLOSED, LINGER):
            return
        path = head.path if head is not None else path_of(self._buffer)
        fields = dict(head.headers) if head is not None else {}
        answer = edge.refusal(path, fields, status=status, message=message)
        lines = [status_line(answer.status)]
        lines += [b"%b: %b\r\n" % pair for pair in answer.headers]
        lines.append(b"content-length: %d\r\nconnection: close\r\n" % len(answer.body))
        lines.append(self.server.common_headers)
        if head is None or head.method != "HEAD":
            lines.append(answer.body)
        self._write(b"".join(lines))
        self.cycle = None
        self._buffer = b""
        self._body = None
        self._linger()

    def _linger(self) -> None:
        self.state = LINGER
        self._progress = 0
        self.deadline = monotonic() + self.limits.linger_seconds
        raw = self.transport.raw
        if self._client_sent_eof or not raw.can_write_eof():
            raw.close()
        else:
            raw.write_eof()

    def abort(self) -> None:
        """Close without writing what is buffered: an incomplete body must not look complete."""
        self.transport.abortConnection()

    # Deadlines.

    def deadline_passed(self) -> None:
        """The server's ticker calls this when ``deadline`` has passed."""
        self.deadline = None
        if self.paused or self.state in (LINGER, CLOSED):
            self.abort()
        elif self.state is BODY:
            self.refuse(408, "The request body did not arrive in time", self._head)
        elif self.state is HEAD:
            if self._buffer:
                self.refuse(408, "The request head did not arrive in time", None)
            else:
                self.transport.loseConnection()

    def _client_left(self) -> None:
        if self.state is LINGER:
            self.transport.loseConnection()
        elif self.cycle is not None:
            self.cycle.disconnected()
            self.abort()
        elif self.state is not CLOSED:
            self.transport.loseConnection()

    def _wake_writers(self) -> None:
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)


def _pair(name: Any) -> tuple[str, int] | None:
    return (name[0], name[1]) if isinstance(name, tuple) else None

"""One client connection: requests in, one at a time, each bounded in bytes and time before any application sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
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
"""How a TLS handshake begins, and no method of HTTP."""
HEAD, BODY, RUNNING, LINGER, UPGRADED, CLOSED = "head", "body", "running", "linger", "upgraded", "closed"


class Host(Protocol):
    """What a connection needs of its server."""

    application: Callable[..., Awaitable[None]]
    limits: Limits
    draining: bool
    common_headers: bytes
    """``server`` and ``date``, with the empty line that ends a head."""

    def opened(self, connection: Connection) -> None:
        """A client connected."""

    def closed(self, connection: Connection) -> None:
        """A client is gone."""

    def began(self, cycle: Cycle) -> None:
        """An application runs."""

    def ended(self, cycle: Cycle) -> None:
        """An application returned."""

    def takes_websockets(self, path: str) -> bool:
        """Whether there are websockets at a path; elsewhere an upgrade is ignored, as HTTP allows."""

    def upgrade(self, connection: Connection, head: Head, rest: bytes) -> None:
        """A client wants a websocket."""


class Connection(protocol.Protocol):
    """The states of one connection: head -> body -> running -> head …, or lingering after a refusal.

    ``deadline`` (monotonic seconds, or None) is what the server's ticker compares; no timers are made per request.
    """

    def __init__(self, server: Host) -> None:
        self.server = server
        self.limits = server.limits
        self.application = server.application
        self.loop = asyncio.get_running_loop()
        self.state = HEAD
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
        self._ended = False

    # Twisted protocol.

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name, as those below
        """The client has ``header_timeout`` to say something."""
        transport: StreamTransport = self.transport
        raw = transport.raw
        raw.set_write_buffer_limits(high=self.limits.write_high_water)
        transport.registerProducer(self, streaming=True)
        self._write = raw.write
        self.client = _pair(transport.peer)
        self.server_name = _pair(transport.host)
        self.deadline = monotonic() + self.limits.header_timeout
        self.server.opened(self)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        """What one read brought, in whatever state we are."""
        state = self.state
        try:
            if state is HEAD:
                self._read_head(self._buffer + data if self._buffer else data)
            elif state is BODY:
                self._read_body(data)
            elif state is RUNNING:
                self._hold(data)
            elif state is LINGER:
                self._discard(data)
        except RefusedError as refused:
            self.refuse(refused.status, refused.message, self._head)

    def readConnectionLost(self) -> None:  # noqa: N802
        """The client closed its side. Whether it still listens cannot be told, so a running request counts as left.

        An answer that is nearly ready still goes out: some simple clients close their side right after the request.
        """
        self._ended = True
        if self.state is RUNNING and self.cycle is not None and not self.cycle.responding:
            self.loop.call_later(self.limits.half_close_grace, self._leave)
        else:
            self._leave()

    def connectionLost(self, reason: Failure = protocol.connectionDone) -> None:  # noqa: ARG002, N802
        """The client is gone; the running application is told at once."""
        self.state = CLOSED
        self.deadline = None
        self._buffer = b""
        self._body = None
        self._wake()
        if self.cycle is not None:
            self.cycle.disconnected()
            self.cycle = None
        self.server.closed(self)

    def pauseProducing(self) -> None:  # noqa: N802
        """The client reads too slowly: applications wait in ``send``, and we read no further requests."""
        self.paused = True
        self.deadline = monotonic() + self.limits.write_stall

    def resumeProducing(self) -> None:  # noqa: N802
        """The client has read enough."""
        self.paused = False
        if self.state is HEAD:
            self._rest()
            self.transport.resumeProducing()
        elif self.state is RUNNING:
            self.deadline = None
        self._wake()

    def stopProducing(self) -> None:  # noqa: N802
        """Twisted's word for closing a producer."""
        self.abort()

    async def writable(self) -> None:
        """Wait until the client has read enough, or is gone."""
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
        if head.upgrade == b"websocket" and head.method == "GET" and not head.length and self.server.takes_websockets(head.path):
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
            self._hold(rest)
        self.cycle = Cycle(self, head, body)
        self.server.began(self.cycle)

    def _hold(self, data: bytes) -> None:
        """Keep what a client sends ahead of its answer; beyond the bound it waits in the client's socket."""
        self._buffer = self._buffer + data if self._buffer else data
        if len(self._buffer) > self.limits.max_pipelined_bytes:
            self.transport.pauseProducing()

    def _discard(self, data: bytes) -> None:
        self._progress += len(data)
        if self._progress > self.limits.linger_bytes:
            self.abort()

    # Writing.

    def write(self, data: bytes) -> None:
        """Send bytes, or buffer them; ``paused`` tells when the application should wait."""
        self._write(data)

    def response_done(self, cycle: Cycle) -> None:
        """The answer is complete: the connection is free for the next request, or closes."""
        if cycle is not self.cycle:
            return
        self.cycle = None
        if not self.keep_alive or self._ended:
            self.state = CLOSED
            self.transport.loseConnection()
            self.deadline = monotonic() + self.limits.write_stall
            return
        self.state = HEAD
        self._head = None
        if self.paused:
            self.transport.pauseProducing()  # no further request before this answer is on its way
        else:
            self._rest()

    def _rest(self) -> None:
        """Nothing is due: the connection may idle for a while, or go on with what the client sent ahead."""
        self.deadline = monotonic() + self.limits.idle_timeout
        if self._buffer:
            self.loop.call_soon(self._next)

    def _next(self) -> None:
        if self.state is HEAD and self._buffer:
            self.transport.resumeProducing()
            data, self._buffer = self._buffer, b""
            self.dataReceived(data)

    def cycle_ended(self, cycle: Cycle) -> None:
        """The application returned."""
        self.server.ended(cycle)

    def refuse(self, status: int, message: str, head: Head | None) -> None:
        """Answer in the server's own name, then read on for a while so that the client finds the answer, and close."""
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
        if self._ended or not raw.can_write_eof():
            raw.close()
        else:
            raw.write_eof()

    def abort(self) -> None:
        """Close at once: a cut body must not look complete."""
        self.transport.abortConnection()

    # Time.

    def overdue(self) -> None:
        """Called by the server's ticker when ``deadline`` has passed."""
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

    def _leave(self) -> None:
        if self.state is LINGER:
            self.transport.loseConnection()
        elif self.cycle is not None:
            self.cycle.disconnected()
            self.abort()
        elif self.state is not CLOSED:
            self.transport.loseConnection()

    def _wake(self) -> None:
        if self._resumed is not None and not self._resumed.done():
            self._resumed.set_result(None)


def _pair(name: Any) -> tuple[str, int] | None:
    return (name[0], name[1]) if isinstance(name, tuple) else None

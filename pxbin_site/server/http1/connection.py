"""One client connection: it parses one request at a time, within limits of bytes and time, and then runs the application."""

from __future__ import annotations

import asyncio
import logging
from time import monotonic

from twisted.internet import protocol
from twisted.python.failure import Failure

from pxbin_site.server.http1.body_memory import Share, counted
from pxbin_site.server.http1.body_reader import BodyReader
from pxbin_site.server.http1.connection_server import ConnectionServer
from pxbin_site.server.http1.cycle import Cycle
from pxbin_site.server.http1.gate import Verdict
from pxbin_site.server.http1.head import Head, RefusedError, parse, path_of
from pxbin_site.server.http1.refusal import encode_refusal
from pxbin_site.server.http1.state import BODY, CLOSED, GATE, HEAD, LINGER, RUNNING, UPGRADED, State
from pxbin_site.server.http1.transport import StreamTransport, host_and_port

logger = logging.getLogger("pxbin.server")

TLS_RECORD = 0x16
"""First byte of a TLS handshake; no method of HTTP begins with it."""


class Connection(protocol.Protocol):
    """The states of one connection: head -> body -> running -> head …, or lingering after a refusal.

    ``deadline`` is in monotonic seconds, or None. The server's ticker compares it, so that no request needs a timer.
    """

    def __init__(self, server: ConnectionServer, transport: StreamTransport) -> None:
        """``transport`` is connected; it calls ``makeConnection`` next."""
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
        self._buffer_share = Share(server.body_memory, is_keyless=True)
        self._searched = 0
        self._head: Head | None = None
        self._body: BodyReader | None = None
        self._look_up: asyncio.Task[None] | None = None
        self._discarded: int | None = None
        """Bytes of a refused body that were discarded; None where no body is refused."""
        self._resumed: asyncio.Future[None] | None = None
        self._client_sent_eof = False
        self._write = transport.raw.write
        self.client = host_and_port(transport.peer)
        self.server_name = host_and_port(transport.host)

    # Twisted protocol.

    def connectionMade(self) -> None:  # noqa: N802 - Twisted's name, as those below
        """Start to read; the client has ``header_timeout`` seconds to send a request head."""
        transport: StreamTransport = self.transport
        transport.raw.set_write_buffer_limits(high=self.limits.write_high_water)
        transport.registerProducer(self, streaming=True)
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
            elif self._discarded is not None:
                self._discard(data)
            elif state is RUNNING:
                self._buffer_pipelined(data)
        except RefusedError as refused:
            self._refuse(refused, self._head)

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
        self._clear_buffer()
        self._close_body()
        self.server.held_back.discard(self)
        if self._look_up is not None:
            self._look_up.cancel()
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
            self._buffer_share.resize(counted(data))
            return
        self._buffer = data
        self._searched = 0
        head = parse(data[:end], max_target=limits.max_target_bytes, max_headers=limits.max_headers)
        if head.query:
            self.server.gate.read_query(head)
        self._head = head
        self._clear_buffer()
        rest = data[end + 4 :]
        if head.upgrade == b"websocket" and head.method == "GET" and not head.length and self.server.has_websocket(head.path):
            self.state = UPGRADED
            self.deadline = None
            self.server.upgrade(self, head, rest)
            return
        self._begin_body(head, rest)

    def _begin_body(self, head: Head, rest: bytes) -> None:
        self.server.admit(head)
        length = head.length
        if length == 0:
            self._begin_cycle(head, b"", rest)
            return
        if length is not None and length > self.limits.max_body_bytes:
            raise RefusedError(413, "Request body too large")
        if length is not None and length <= len(rest):
            share = Share(self.server.body_memory, is_keyless=False)
            share.resize(length)
            self._begin_cycle(head, rest[:length], rest[length:], share)
            return
        verdict = self.server.gate.decide(head.path, head.headers)
        if verdict is not None:
            self._pass_gate(head, verdict, rest)
            return
        self._buffer_share.resize(counted(rest))
        self._buffer = rest
        self.state = GATE
        self.deadline = None
        self.transport.pauseProducing()
        self._look_up = self.loop.create_task(self._look_up_key(head))

    async def _look_up_key(self, head: Head) -> None:
        """Let the gate look into the database, then continue. Meanwhile nothing is read."""
        try:
            verdict = await self.server.gate.look_up(head.headers)
        except Exception:  # a defect of the gate must not leave the client without a response
            logger.exception("The gate failed: %s %s", head.method, head.path)
            self.transport.resumeProducing()
            self.refuse(500, "Internal server error", head)
            return
        finally:
            self._look_up = None
        rest = self._clear_buffer()
        self.transport.resumeProducing()
        try:
            self._pass_gate(head, verdict, rest)
        except RefusedError as refused:
            self._refuse(refused, head)

    def _pass_gate(self, head: Head, verdict: Verdict, rest: bytes) -> None:
        """Receive the body; or let the application refuse the request without it, and discard what the client sends of it."""
        if verdict.refusal is not None:
            head.keep_alive = False
            self._discarded = len(rest)
            self._begin_cycle(head, b"", b"", refusal=verdict.refusal)
            return
        share = Share(self.server.body_memory, is_keyless=not verdict.has_key)
        self._body = BodyReader(head.length, share, self.limits, has_key=verdict.has_key)
        self.state = BODY
        self.deadline = self._body.deadline
        if head.expects_continue and not rest:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if rest:
            self._read_body(rest)

    def _read_body(self, data: bytes) -> None:
        assert self._body is not None
        self._after_decoding(self._body, self._body.feed(data))

    def _after_decoding(self, body: BodyReader, rest: bytes | None) -> None:
        """Begin the request with the complete body, or read on; where decoding takes long, it continues in a later turn."""
        if rest is not None:
            head = self._head
            assert head is not None
            content = body.content()
            self._body = None
            self._begin_cycle(head, content, rest, body.share)
        elif body.is_behind:
            self.deadline = None  # the client waits for the server
            self.transport.pauseProducing()
            self.server.turns.add(self._continue_body)
        else:
            self.deadline = body.deadline

    def _continue_body(self) -> None:
        body = self._body
        if body is None:  # the connection was closed
            return
        try:
            rest = body.resume()
            if not body.is_behind:
                self.transport.resumeProducing()
            self._after_decoding(body, rest)
        except RefusedError as refused:
            self.transport.resumeProducing()
            self._refuse(refused, self._head)

    def _clear_buffer(self) -> bytes:
        """Empty the buffer and return what it held."""
        data, self._buffer = self._buffer, b""
        self._buffer_share.resize(0)
        return data

    def _close_body(self) -> None:
        if self._body is not None:
            self._body.share.close()
            self._body = None

    def _begin_cycle(self, head: Head, body: bytes, rest: bytes, share: Share | None = None, *, refusal: object | None = None) -> None:
        if self.server.draining:
            if share is not None:
                share.close()
            raise RefusedError(503, "The server is shutting down")
        self.state = RUNNING
        self.deadline = None
        if rest:
            self._buffer_pipelined(rest)
        self.cycle = Cycle(self, head, body, share, refusal)
        self.server.cycle_started(self.cycle)

    def _buffer_pipelined(self, data: bytes) -> None:
        """Buffer pipelined requests; beyond the limit, stop reading from the socket. Without memory for them, close."""
        self._buffer = self._buffer + data if self._buffer else data
        if not self._buffer_share.try_resize(counted(self._buffer)):
            self.abort()
        if len(self._buffer) > self.limits.max_pipelined_bytes:
            self.transport.pauseProducing()
            self.server.held_back.add(self)

    def _discard(self, data: bytes) -> None:
        assert self._discarded is not None
        self._discarded += len(data)
        if self._discarded > self.limits.linger_bytes:
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
            if self._discarded is not None:  # the rest of the refused body may still arrive
                self._linger()
                return
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
            self.server.held_back.discard(self)
            data = self._clear_buffer()
            self.dataReceived(data)

    def cycle_ended(self, cycle: Cycle) -> None:
        """The application has returned."""
        if cycle.share is not None:
            cycle.share.close()
        self.server.cycle_ended(cycle)

    def refuse(self, status: int, message: str, head: Head | None) -> None:
        """Answer with an error of the server, discard input for a while so that the client can read the answer, and close."""
        self._refuse(RefusedError(status, message), head)

    def _refuse(self, refused: RefusedError, head: Head | None) -> None:
        if self.state in (CLOSED, LINGER):
            return
        path = head.path if head is not None else path_of(self._buffer)
        self._write(encode_refusal(refused, head, path, self.server.common_headers))
        self.cycle = None
        self._clear_buffer()
        self._close_body()
        self._linger()

    def _linger(self) -> None:
        self.state = LINGER
        self._discarded = self._discarded or 0
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

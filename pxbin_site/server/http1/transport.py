"""A connection of the event loop with the interface of a Twisted transport.

Twisted's own TCP transport waits for the reactor before each write and reads in Python; a uvloop connection does both in C and writes
immediately. Daphne's websockets and pxbin's HTTP protocol use this transport.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any, cast

from twisted.internet import error, interfaces, protocol
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.python.failure import Failure
from zope.interface import implementer

CLEAN = Failure(error.ConnectionDone())


def address(name: Any) -> IPv4Address | IPv6Address:
    """A socket name as a Twisted address; the name of a Unix socket becomes the empty address."""
    if not isinstance(name, tuple):
        return IPv4Address("TCP", "", 0)
    kind = IPv6Address if len(name) > 2 else IPv4Address
    return kind("TCP", name[0], name[1])


def host_and_port(name: Any) -> tuple[str, int] | None:
    """A socket name as an ASGI scope has it; None for the name of a Unix socket."""
    return (name[0], name[1]) if isinstance(name, tuple) else None


@implementer(interfaces.ITransport, interfaces.IPushProducer, interfaces.IConsumer)
class StreamTransport(asyncio.Protocol):
    """One accepted connection. ``build`` creates its Twisted protocol, which an upgrade may replace.

    A registered push producer is paused while the write buffer is over its high-water mark.
    """

    connected = False
    disconnecting = False

    def __init__(self, build: Callable[[StreamTransport], protocol.Protocol]) -> None:
        self._build = build
        self._producer: Any = None

    # Called by the event loop.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected: create its protocol."""
        self.raw = cast("asyncio.Transport", transport)  # uvloop's transports have its methods but not its class
        self.peer = transport.get_extra_info("peername")
        self.host = transport.get_extra_info("sockname")
        self.connected = True
        self.protocol = self._build(self)
        self.protocol.makeConnection(self)

    def data_received(self, data: bytes) -> None:
        """Bytes from the client."""
        self.protocol.dataReceived(data)

    def eof_received(self) -> bool:
        """The client sends no more. A protocol with ``readConnectionLost`` decides itself when to close."""
        half_close = getattr(self.protocol, "readConnectionLost", None)
        if half_close is None:
            return False
        half_close()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is closed, by either side."""
        self.connected = False
        self._producer = None
        self.protocol.connectionLost(CLEAN if exc is None else Failure(error.ConnectionLost(str(exc))))

    def pause_writing(self) -> None:
        """The write buffer is over its high-water mark."""
        if self._producer is not None:
            self._producer.pauseProducing()

    def resume_writing(self) -> None:
        """The write buffer is below its low-water mark again."""
        if self._producer is not None:
            self._producer.resumeProducing()

    # Called by a Twisted protocol.

    def write(self, data: bytes) -> None:
        """Send bytes; what the socket does not accept is buffered."""
        if not self.raw.is_closing():
            self.raw.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802 - Twisted's name, as all below
        """Send several pieces as one."""
        self.write(b"".join(data))

    def loseConnection(self) -> None:  # noqa: N802
        """Close after everything buffered has been sent."""
        self.disconnecting = True
        self.raw.close()

    def abortConnection(self) -> None:  # noqa: N802
        """Close immediately; what is buffered is lost."""
        self.disconnecting = True
        self.raw.abort()

    def getPeer(self) -> IPv4Address | IPv6Address:  # noqa: N802
        """The client's address."""
        return address(self.peer)

    def getHost(self) -> IPv4Address | IPv6Address:  # noqa: N802
        """The server's address."""
        return address(self.host)

    def registerProducer(self, producer: Any, streaming: bool) -> None:  # noqa: N802
        """Pause and resume ``producer`` as the write buffer demands."""
        if not streaming:
            raise NotImplementedError("only push producers are used here")
        self._producer = producer

    def unregisterProducer(self) -> None:  # noqa: N802
        """Remove the producer."""
        self._producer = None

    def pauseProducing(self) -> None:  # noqa: N802
        """Stop reading."""
        if self.connected and self.raw.is_reading():
            self.raw.pause_reading()

    def resumeProducing(self) -> None:  # noqa: N802
        """Resume reading."""
        if self.connected and not self.raw.is_closing() and not self.raw.is_reading():
            self.raw.resume_reading()

    def stopProducing(self) -> None:  # noqa: N802
        """Close the connection; Twisted's interface requires it."""
        self.loseConnection()

"""What daphne's websocket protocol lacks: back-pressure towards clients that do not read, and refusals of handshakes as HTTP responses."""

from __future__ import annotations

import asyncio
from typing import Any

from pxbin_site.server.http1.cycle import status_line


class Flow:
    """A Twisted push producer: the transport pauses it while the client does not read."""

    def __init__(self) -> None:
        self._writable = asyncio.Event()
        self._writable.set()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's names
        """The write buffer is full."""
        self._writable.clear()

    def resumeProducing(self) -> None:  # noqa: N802
        """The write buffer has room again."""
        self._writable.set()

    def stopProducing(self) -> None:  # noqa: N802
        """The connection is closed."""
        self._writable.set()

    async def writable(self) -> None:
        """Wait until the write buffer has room."""
        await self._writable.wait()


def refuse_handshake(protocol: Any, message: dict[str, Any]) -> None:
    """Send a message of the ASGI extension ``websocket.http.response`` instead of an upgrade; the body is in one message."""
    if message["type"] == "websocket.http.response.start":
        protocol.refusal = message
        return
    head, body = protocol.refusal, message["body"]
    lines = [status_line(head["status"]), *(b"%b: %b\r\n" % pair for pair in head["headers"])]
    lines.append(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body))
    protocol.transport.write(b"".join(lines) + body)
    protocol.transport.loseConnection()

"""The part of the server that a connection uses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Protocol

from pxbin_site.server.http1.body_memory import BodyMemory
from pxbin_site.server.http1.cycle import Cycle
from pxbin_site.server.http1.gate import Gate
from pxbin_site.server.http1.head import Head
from pxbin_site.server.http1.limits import Limits
from pxbin_site.server.http1.turns import Turns

if TYPE_CHECKING:
    from pxbin_site.server.http1.connection import Connection


class ConnectionServer(Protocol):
    """The part of the server that a connection uses."""

    application: Callable[..., Awaitable[None]]
    limits: Limits
    draining: bool
    keeps_alive: bool
    """Whether connections stay open after a response."""
    gate: Gate
    body_memory: BodyMemory
    turns: Turns
    held_back: set[Connection]
    """Connections that are not read because the client sent too much ahead."""
    common_headers: bytes
    """The header lines ``server`` and ``date``, with the empty line that ends a head."""

    def connection_opened(self, connection: Connection) -> None:
        """A client connected."""

    def connection_closed(self, connection: Connection) -> None:
        """A connection is closed."""

    def admit(self, head: Head) -> None:
        """Raise ``RefusedError`` if the server is overloaded."""

    def cycle_started(self, cycle: Cycle) -> None:
        """An application has been started for a request."""

    def cycle_ended(self, cycle: Cycle) -> None:
        """An application has returned."""

    def has_websocket(self, path: str) -> bool:
        """Whether a path has a websocket; elsewhere an upgrade is ignored, as HTTP allows."""

    def upgrade(self, connection: Connection, head: Head, rest: bytes) -> None:
        """A client has requested a websocket."""

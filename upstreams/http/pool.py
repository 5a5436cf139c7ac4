"""The connections to upstreams: one pool for each event loop, on aiohttp's connector and parser."""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from typing import NamedTuple, cast
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
import certifi
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import AddrInfoType, Connection
from yarl import URL

CONNECTIONS_PER_HOST = 2000
KEEPALIVE_SECONDS = 50.0
"""Below the 60 s after which common load balancers close idle connections, so that few calls meet one just closed."""
DNS_SECONDS = 30
KEEPALIVE_PROBES = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15))
KNOWN_URLS = 4096
NETWORK = frozenset({"http", "https"})
NO_ROUNDING = 1e9
"""aiohttp rounds timeouts above this many seconds up to whole ones; fractions are meant here."""


class Wire(ResponseHandler):
    """A connection that knows whether it has been used before and whether its current answer has begun."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.used = False
        self.answered = False

    def data_received(self, data: bytes) -> None:
        """Note that the upstream has said something."""
        self.answered = True
        super().data_received(data)


class Connector(aiohttp.TCPConnector):
    """aiohttp's pool with our bounds and our kind of connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            limit=0,
            limit_per_host=CONNECTIONS_PER_HOST,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ttl_dns_cache=DNS_SECONDS,
            ssl=tls_context(),
            timeout_ceil_threshold=NO_ROUNDING,
            socket_factory=watched_socket,
        )
        self._factory = cast("functools.partial[ResponseHandler]", functools.partial(Wire, loop))


def watched_socket(address: AddrInfoType) -> socket.socket:
    """A socket on which the kernel notices a dead peer: models may think for minutes without a byte."""
    made = socket.socket(*address[:3])
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in KEEPALIVE_PROBES:
        if hasattr(socket, name):  # Linux
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
    return made


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Verifies upstreams against the system's authorities and, for images that have none, certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


class Origin(NamedTuple):
    """Where a URL leads, worked out once: aiohttp's key for the pool, and what the first lines of a request say."""

    key: ClientRequest
    target: str
    host: str


class Pool:
    """The connections of one event loop, shared by all upstreams; each host has its own bound."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.connector = Connector(loop)
        self._known: dict[str, Origin] = {}

    def destination(self, url: str) -> Origin:
        """Raises ``ValueError`` for a URL that leads nowhere."""
        known = self._known.get(url)
        if known is None:
            if len(self._known) >= KNOWN_URLS:
                self._known.clear()
            known = self._known[url] = self._look_at(url)
        return known

    def _look_at(self, url: str) -> Origin:
        parts = urlsplit(url)
        if parts.scheme not in NETWORK or not parts.hostname or parts.username is not None:
            raise ValueError("no address")
        if not url.isascii() or any(char <= " " or char == "\x7f" for char in url):
            raise ValueError("a character that a URL cannot hold")
        key = ClientRequest("POST", URL(url, encoded=True).origin(), loop=self.loop)
        return Origin(key, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), parts.netloc)

    async def connect(self, destination: Origin, seconds: float) -> tuple[Connection, Wire]:
        """A kept connection or a new one. Raises ``aiohttp.ClientError``, ``OSError`` (also ``TimeoutError``) or ``ValueError``."""
        limits = aiohttp.ClientTimeout(total=None, connect=seconds, sock_connect=seconds, ceil_threshold=NO_ROUNDING)
        connection = await self.connector.connect(destination.key, traces=[], timeout=limits)
        wire = connection.protocol
        assert isinstance(wire, Wire)
        return connection, wire


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()


def pool() -> Pool:
    """The pool of the running loop."""
    loop = asyncio.get_running_loop()
    known = _pools.get(loop)
    if known is None or known.connector.closed:
        known = _pools[loop] = Pool(loop)
    return known


async def close_all() -> None:
    """Close every connection of the running loop; a later call opens new ones."""
    known = _pools.pop(asyncio.get_running_loop(), None)
    if known is not None:
        await known.connector.close()


def cut(connection: Connection) -> None:
    """Close a connection now, whatever is still on its way."""
    wire = connection.protocol
    if wire is not None:
        wire.abort()
    connection.close()

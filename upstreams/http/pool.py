"""Connections to upstreams: one pool for each event loop, on aiohttp's connector and parser."""

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

from upstreams.http.ssrf_guard import check_address

CONNECTIONS_PER_HOST = 2000
KEEPALIVE_SECONDS = 50.0
"""Less than the 60 s after which common load balancers close idle connections, so that few calls use a closed one."""
DNS_SECONDS = 30
KEEPALIVE_PROBES = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15))
MAX_CACHED_URLS = 4096
NETWORK = frozenset({"http", "https"})
NO_ROUNDING = 1e9
"""aiohttp rounds timeouts above this many seconds up to whole seconds; this keeps fractions."""


class Wire(ResponseHandler):
    """A connection. ``is_pooled``: it has served a request before. ``has_received``: bytes of the current response arrived."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.is_pooled = False
        self.has_received = False

    def data_received(self, data: bytes) -> None:
        """Note that bytes arrived."""
        self.has_received = True
        super().data_received(data)


class Connector(aiohttp.TCPConnector):
    """aiohttp's pool with bounds of ours; its connections are of class `Wire`."""

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
    """A socket with TCP keep-alive, so that the kernel notices a dead peer: a model may send nothing for minutes.

    Raises :class:`~upstreams.http.ssrf_guard.RefusedAddressError`: the connector creates a socket for each address that it connects to.
    """
    check_address(str(address[4][0]))
    sock = socket.socket(*address[:3])
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in KEEPALIVE_PROBES:
        if hasattr(socket, name):  # Linux
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)
    return sock


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Verifies upstreams against the authorities of the system and, for images without any, those of certifi."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


class Origin(NamedTuple):
    """The parts of a URL, parsed once. ``key``: aiohttp's key for the pool; ``target``, ``host``: for the request head."""

    key: ClientRequest
    target: str
    host: str


class Pool:
    """The connections of one event loop, shared by all upstreams; the bound is per host."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.connector = Connector(loop)
        self._origins: dict[str, Origin] = {}

    def origin(self, url: str) -> Origin:
        """The parts of a URL; raises ``ValueError`` for one that is not usable."""
        origin = self._origins.get(url)
        if origin is None:
            if len(self._origins) >= MAX_CACHED_URLS:
                self._origins.clear()
            origin = self._origins[url] = self._parse(url)
        return origin

    def _parse(self, url: str) -> Origin:
        parts = urlsplit(url)
        if parts.scheme not in NETWORK or not parts.hostname or parts.username is not None:
            raise ValueError("the URL has no host")
        if not url.isascii() or any(char <= " " or char == "\x7f" for char in url):
            raise ValueError("the URL contains a character that is not allowed")
        key = ClientRequest("POST", URL(url, encoded=True).origin(), loop=self.loop)
        return Origin(key, (parts.path or "/") + (f"?{parts.query}" if parts.query else ""), parts.netloc)

    async def connect(self, origin: Origin, seconds: float) -> tuple[Connection, Wire]:
        """A pooled connection or a new one. Raises ``aiohttp.ClientError``, ``OSError`` (also ``TimeoutError``) or ``ValueError``."""
        connection = await self.connector.connect(origin.key, traces=[], timeout=_connect_timeout(seconds))
        wire = connection.protocol
        assert isinstance(wire, Wire)
        return connection, wire


@functools.lru_cache(maxsize=256)
def _connect_timeout(seconds: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, connect=seconds, sock_connect=seconds, ceil_threshold=NO_ROUNDING)


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, Pool] = WeakKeyDictionary()


def running_pool() -> Pool:
    """The pool of the running loop."""
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None or pool.connector.closed:
        pool = _pools[loop] = Pool(loop)
    return pool


async def close_all() -> None:
    """Close all connections of the running loop; later calls open new ones."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        await pool.connector.close()


def cut(connection: Connection) -> None:
    """Close a connection at once; bytes that are still to come are lost."""
    wire = connection.protocol
    if wire is not None:
        wire.abort()
    connection.close()

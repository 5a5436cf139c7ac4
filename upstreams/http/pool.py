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
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import AddrInfoType, Connection
from aiohttp.helpers import strip_auth_from_url
from yarl import URL

from upstreams.catalog.entries import Network
from upstreams.http.outgoing_proxy import proxy_for
from upstreams.http.ssrf_guard import async_guarded_transport, check_address, check_host

CONNECTIONS_PER_HOST = 2000
KEEPALIVE_SECONDS = 50.0
"""Less than the 60 s after which common load balancers close idle connections, so that few calls use a closed one."""
DNS_SECONDS = 30
KEEPALIVE_PROBES = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 15))
MAX_CACHED_URLS = 4096
NETWORK = frozenset({"http", "https"})
DEFAULT_NETWORK = Network()
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


@functools.lru_cache(maxsize=256)
def tls_context(network: Network = DEFAULT_NETWORK) -> ssl.SSLContext:
    """Verifies upstreams against the authorities of the system, those of certifi (for images without any), and the network's own.

    Raises ``OSError`` (also ``ssl.SSLError``) for a file that cannot be read. A file that changes is read again by the next process.
    """
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["h2" if network.http2 else "http/1.1"])
    if network.ca_file:
        context.load_verify_locations(network.ca_file)
    if network.client_certificate_file:
        context.load_cert_chain(network.client_certificate_file)
    return context


class Origin(NamedTuple):
    """The parts of a URL, parsed once. ``key``: aiohttp's key for the pool; ``target``, ``host``: for the request head.

    ``proxy_authorization``: for the head of a request that a proxy forwards; through a tunnel it gets none.
    """

    key: ClientRequest
    target: str
    host: str
    proxy_authorization: str = ""


class Pool:
    """The connections of one event loop, shared by all upstreams; the bound is per host."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.connector = Connector(loop)
        self._origins: dict[str | tuple[str, Network], Origin] = {}
        self._http2: dict[tuple[Network, str | None], httpx.AsyncHTTPTransport] = {}

    def origin(self, url: str, network: Network | None = None) -> Origin:
        """The parts of a URL; raises ``ValueError`` for one that is not usable, ``OSError`` for certificates and refused addresses."""
        key = url if network is None else (url, network)
        origin = self._origins.get(key)
        if origin is None:
            if len(self._origins) >= MAX_CACHED_URLS:
                self._origins.clear()
            origin = self._origins[key] = self._parse(url, DEFAULT_NETWORK if network is None else network)
        return origin

    def http2_transport(self, url: str, network: Network) -> httpx.AsyncHTTPTransport:
        """Connections that speak HTTP/2 only; raises as :meth:`origin`."""
        proxy = proxy_for(url, network.proxy)
        if proxy is not None:
            check_host(urlsplit(url).hostname or "")
        transport = self._http2.get((network, proxy))
        if transport is None:
            transport = self._http2[network, proxy] = async_guarded_transport(tls_context(network), http2=True, proxy=proxy)
        return transport

    async def close(self) -> None:
        """Close all connections."""
        await self.connector.close()
        for transport in self._http2.values():
            await transport.aclose()

    def _parse(self, url: str, network: Network) -> Origin:
        parts = urlsplit(url)
        if parts.scheme not in NETWORK or not parts.hostname or parts.username is not None:
            raise ValueError("the URL has no host")
        if not url.isascii() or any(char <= " " or char == "\x7f" for char in url):
            raise ValueError("the URL contains a character that is not allowed")
        tls: ssl.SSLContext | bool = True if network.ca_file == network.client_certificate_file == "" else tls_context(network)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        proxy = proxy_for(url, network.proxy)
        if proxy is None:
            return Origin(ClientRequest("POST", URL(url, encoded=True).origin(), loop=self.loop, ssl=tls), target, parts.netloc)
        check_host(parts.hostname)
        proxy_url, login = strip_auth_from_url(URL(proxy))
        key = ClientRequest("POST", URL(url, encoded=True).origin(), loop=self.loop, ssl=tls, proxy=proxy_url, proxy_auth=login)
        if parts.scheme == "https":
            return Origin(key, target, parts.netloc)
        return Origin(key, f"http://{parts.netloc}{target}", parts.netloc, "" if login is None else login.encode())

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
        await pool.close()


def cut(connection: Connection) -> None:
    """Close a connection at once; bytes that are still to come are lost."""
    wire = connection.protocol
    if wire is not None:
        wire.abort()
    connection.close()

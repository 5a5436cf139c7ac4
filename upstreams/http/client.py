"""Calls of upstreams over pooled connections, with three timeouts.

Redirects are not followed, cookies are ignored. Proxies: :mod:`upstreams.http.outgoing_proxy`. aiohttp's connector and HTTP parser are used
directly, because its public session costs half as much CPU again (`python -m bench.http_clients`). URLs of schemes other than
http and https are served by httpx transports (``mount``), the built-in echo upstream among them, and so are upstreams that speak only
HTTP/2.

    async with client.open("POST", url, headers, body, upstream=entry) as response:
        async for chunk in response.chunks(): ...

Leaving the block before the response was read to its end closes the connection; otherwise the pool keeps it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from types import TracebackType
from typing import Protocol

import aiohttp
import httpx
from aiohttp.connector import Connection

from proxy.translation.errors import UpstreamFailed
from upstreams.catalog.entries import Network
from upstreams.echo import SCHEME
from upstreams.http.headers import USER_AGENT
from upstreams.http.pool import NETWORK, Origin, Pool, Wire, close_all, cut, running_pool
from upstreams.http.response import MountedResponse, NetworkResponse, UpstreamResponse, failed, failure_of
from upstreams.http.ssrf_guard import MESSAGE as REFUSED_ADDRESS
from upstreams.http.ssrf_guard import RefusedAddressError

__all__ = ["Opening", "Timeouts", "UpstreamResponse", "close_all", "mount", "open"]

MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 256
READ_SIZE = 64 * 1024
SWITCHING = 101

Headers = Iterable[tuple[str, str]]
NEVER = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "te", "upgrade", "expect"})
"""Headers that describe the connection; a caller cannot set them."""


class Timeouts(Protocol):
    """Timeouts of an upstream in seconds; fractions are allowed; and how it is connected to.

    ``connect_timeout`` also covers the DNS look-up, TLS and the wait for a place in a full pool. ``first_byte_timeout`` runs
    from the request to the end of the response headers, ``idle_timeout`` between two reads of the body.
    """

    @property
    def connect_timeout(self) -> float: ...

    @property
    def first_byte_timeout(self) -> float: ...

    @property
    def idle_timeout(self) -> float: ...

    @property
    def network(self) -> Network | None: ...


_mounted: dict[str, httpx.AsyncBaseTransport] = {}


def mount(scheme: str, transport: httpx.AsyncBaseTransport) -> None:
    """Serve URLs of ``scheme`` by ``transport``."""
    _mounted[scheme] = transport


def open(method: str, url: str, headers: Headers, body: bytes = b"", *, upstream: Timeouts) -> Opening:  # noqa: A001 - read as client.open
    """A call of an upstream; see ``Opening``. The last of equal headers is sent. Length and connection headers are set here."""
    return Opening(method, url, headers, body, upstream=upstream)


class Opening:
    """A call that begins when the context is entered. Raises ``UpstreamFailed`` (connect, timeout, network) without a response.

    ``is_sent``: the request has been written, so the upstream may be working on it and bill it.
    """

    __slots__ = ("_body", "_headers", "_method", "_response", "_upstream", "_url", "is_sent")

    def __init__(self, method: str, url: str, headers: Headers, body: bytes, *, upstream: Timeouts) -> None:
        self._method = method
        self._url = url
        self._headers = headers
        self._body = body
        self._upstream = upstream
        self._response: UpstreamResponse | None = None
        self.is_sent = False

    async def __aenter__(self) -> UpstreamResponse:
        scheme = self._url.partition(":")[0]
        network = self._upstream.network
        if scheme in NETWORK:
            self._response = await (self._call_network() if network is None or not network.http2 else self._call_http2(network))
        else:
            self._response = await self._call_mounted(_transport(scheme))
        return self._response

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        response, self._response = self._response, None
        if response is not None:
            await response.close()

    async def _call_network(self) -> NetworkResponse:
        """One call, and a second one when a pooled connection was closed by the upstream before it answered (RFC 9112, section 9.3.1).

        The second one goes over a new connection, and is the last: the upstream gets a request twice at most.
        """
        pool = running_pool()
        try:
            origin = pool.origin(self._url, self._upstream.network)
        except (ValueError, OSError) as error:
            raise _unusable(error) from error
        head = self._head(origin)
        reconnected = False
        while True:
            connection, wire = await self._connect(pool, origin)
            if reconnected and wire.is_pooled:  # what closed the first one has probably closed this one, too
                cut(connection)
                continue
            was_pooled, wire.is_pooled, wire.has_received = wire.is_pooled, True, False
            try:
                return await self._exchange(pool.loop, connection, wire, head)
            except (aiohttp.ClientError, aiohttp.http_exceptions.HttpProcessingError, OSError) as error:
                cut(connection)
                if not (
                    was_pooled and not wire.has_received and isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError))
                ):
                    failure = failure_of(error, answered=wire.has_received)
                    failure.reconnected = reconnected
                    raise failure from error
                reconnected = True
            except BaseException:
                cut(connection)
                raise

    async def _connect(self, pool: Pool, origin: Origin) -> tuple[Connection, Wire]:
        try:
            return await pool.connect(origin, self._upstream.connect_timeout)
        except (aiohttp.ClientError, OSError, ValueError) as error:  # ValueError: a host name that no resolver takes
            failure = failed("connect", _why_not_connected(error))
            failure.reconnected = _is_refused_address(error)  # another try would be refused as well
            raise failure from error

    async def _exchange(self, loop: asyncio.AbstractEventLoop, connection: Connection, wire: Wire, head: bytes) -> NetworkResponse:
        wire.set_response_params(
            skip_payload=self._method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_bufsize=READ_SIZE,
            max_line_size=MAX_HEADER_BYTES,
            max_field_size=MAX_HEADER_BYTES,
            max_headers=MAX_HEADERS,
        )
        transport = wire.transport
        if transport is None:
            raise aiohttp.ServerDisconnectedError
        if len(self._body) > READ_SIZE:
            transport.write(head)
            transport.write(self._body)
        else:
            transport.write(head + self._body)
        self.is_sent = True
        timer = loop.call_later(self._upstream.first_byte_timeout, wire.set_exception, aiohttp.SocketTimeoutError())
        try:
            message, payload = await wire.read()
            while message.code < 200:  # 100 Continue, 103 Early Hints: the response follows
                if message.code == SWITCHING:
                    raise failed("network", "The upstream switched to another protocol", answered=True)
                message, payload = await wire.read()
        finally:
            timer.cancel()
        wire.read_timeout = self._upstream.idle_timeout
        if not payload.is_eof():
            wire.start_timeout()
        return NetworkResponse(connection, message, payload)

    def _head(self, origin: Origin) -> bytes:
        lines = {"host": origin.host, "user-agent": USER_AGENT, "accept-encoding": "identity"}
        for name, value in self._headers:
            lower = name.lower()
            if lower not in NEVER:
                lines[lower] = value
        if origin.proxy_authorization:
            lines["proxy-authorization"] = origin.proxy_authorization
        if self._body or self._method not in ("GET", "HEAD"):
            lines["content-length"] = str(len(self._body))
        text = "".join([f"{name}: {value}\r\n" for name, value in lines.items()])
        if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
            raise failed("connect", "A header for the upstream contains a line break")
        return f"{self._method} {origin.target} HTTP/1.1\r\n{text}\r\n".encode("utf-8", "surrogateescape")

    async def _call_http2(self, network: Network) -> MountedResponse:
        try:
            transport = running_pool().http2_transport(self._url, network)
        except (ValueError, OSError) as error:
            raise _unusable(error) from error
        own = {"user-agent": USER_AGENT, "accept-encoding": "identity"}
        self._headers = {**own, **{name.lower(): value for name, value in self._headers if name.lower() not in NEVER}}.items()
        return await self._call_mounted(transport)

    async def _call_mounted(self, transport: httpx.AsyncBaseTransport) -> MountedResponse:
        connect = self._upstream.connect_timeout
        timeout = {"connect": connect, "pool": connect, "read": self._upstream.first_byte_timeout}
        request = httpx.Request(self._method, self._url, headers=list(self._headers), content=self._body, extensions={"timeout": timeout})
        self.is_sent = True
        try:
            return MountedResponse(await transport.handle_async_request(request), idle=self._upstream.idle_timeout)
        except httpx.HTTPError as error:
            raise failure_of(error, answered=False) from error


def _unusable(error: Exception) -> UpstreamFailed:
    """The failure of a call for which no connection is opened: another try would end in the same way."""
    message = "The address of the upstream is not valid"
    if isinstance(error, RefusedAddressError):
        message = REFUSED_ADDRESS
    elif isinstance(error, OSError):
        message = "The certificate files of the upstream cannot be read"
    failure = failed("connect", message)
    failure.reconnected = True
    return failure


def _transport(scheme: str) -> httpx.AsyncBaseTransport:
    if scheme == SCHEME and scheme not in _mounted:
        from upstreams.echo.transport import EchoTransport  # loaded only where the echo upstream is used

        mount(scheme, EchoTransport())
    if scheme not in _mounted:
        raise failed("connect", "The address of the upstream is not valid")
    return _mounted[scheme]


_NOT_CONNECTED: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientProxyConnectionError, "No connection to the proxy before the upstream"),
    (aiohttp.ClientConnectorCertificateError, "The certificate of the upstream is not valid"),
    (aiohttp.ClientConnectorSSLError, "No secure connection to the upstream"),
    (aiohttp.ClientConnectorDNSError, "The host name of the upstream cannot be resolved"),
    (TimeoutError, "No connection to the upstream in time"),
)


def _is_refused_address(error: Exception) -> bool:
    return isinstance(getattr(error, "os_error", error), RefusedAddressError)


def _why_not_connected(error: Exception) -> str:
    """The reason why there is no connection, without the address."""
    if _is_refused_address(error):
        return REFUSED_ADDRESS
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return f"The proxy before the upstream refused the connection ({error.status})"
    return next((message for kind, message in _NOT_CONNECTED if isinstance(error, kind)), "No connection to the upstream")

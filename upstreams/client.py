"""The calls to upstreams: one pool of connections per event loop, three timeouts, and nothing that a gateway must not do.

No redirects, no cookies, no proxies from the environment. The connections and their parser are aiohttp's, used directly:
CPU per call 0.03 ms, against 0.07 through its session and 0.16 through httpx over it. Schemes other than http and https are
served by httpx transports (``mount``), the built-in echo upstream among them.

    async with client.open("POST", url, headers, body, upstream=entry) as answer:
        async for chunk in answer.chunks(): ...

Leaving the block before the answer has been read to its end closes the connection at once; otherwise it is used again.
"""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import AsyncIterator, Iterable
from types import TracebackType
from typing import Any, NamedTuple, Protocol
from urllib.parse import urlsplit
from weakref import WeakKeyDictionary

import aiohttp
import certifi
import httpx
from aiohttp.client_proto import ResponseHandler
from aiohttp.client_reqrep import ClientRequest
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError
from yarl import URL

from proxy.errors import Failure, Kind, UpstreamFailed
from upstreams.decoding import CorruptError, Decoder, decoder_for
from upstreams.headers import USER_AGENT, Received

MAX_BODY = 64 * 1024 * 1024
"""Bytes that ``read`` takes at most."""
CONNECTIONS_PER_HOST = 2000
KEEPALIVE_SECONDS = 50.0
"""Below the 60 s after which common load balancers close idle connections, so that few calls meet one just closed."""
DNS_SECONDS = 30
MAX_HEADER_BYTES = 64 * 1024
MAX_HEADERS = 256
KNOWN_URLS = 4096
READ_SIZE = 64 * 1024

Headers = Iterable[tuple[str, str]]
NETWORK = frozenset({"http", "https"})
NEVER = frozenset({"content-length", "transfer-encoding", "connection", "keep-alive", "te", "upgrade", "expect"})
"""Headers that describe the connection: ours alone to set."""


class Timeouts(Protocol):
    """What a call needs of an upstream's entry; seconds, fractions allowed."""

    @property
    def connect_timeout(self) -> float: ...

    @property
    def first_byte_timeout(self) -> float: ...

    @property
    def idle_timeout(self) -> float: ...


def failed(kind: Kind, message: str, *, answered: bool = False) -> UpstreamFailed:
    """The failure of a call; ``message`` names no address and no credential."""
    return UpstreamFailed(Failure(kind=kind, message=message), answered=answered)


# Connections.


class _Wire(ResponseHandler):
    """A connection that knows whether it has been used before and whether its current answer has begun."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(loop)
        self.used = False
        self.answered = False

    def data_received(self, data: bytes) -> None:
        self.answered = True
        super().data_received(data)


class _Connector(aiohttp.TCPConnector):
    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(
            limit=0,
            limit_per_host=CONNECTIONS_PER_HOST,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ttl_dns_cache=DNS_SECONDS,
            ssl=tls_context(),
            timeout_ceil_threshold=1e9,  # fractions of seconds are meant
        )
        self._factory = functools.partial(_Wire, loop)


@functools.cache
def tls_context() -> ssl.SSLContext:
    """Verifies upstreams against the system's authorities and, for images that have none, certifi's."""
    context = ssl.create_default_context()
    context.load_verify_locations(certifi.where())
    context.set_alpn_protocols(["http/1.1"])
    return context


class _Destination(NamedTuple):
    """Where a URL leads, worked out once: aiohttp's key for the pool, and the first lines of every request."""

    key: ClientRequest
    target: str
    host: str


class _Pool:
    """The connections of one event loop."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.connector = _Connector(loop)
        self._known: dict[str, _Destination] = {}

    def destination(self, url: str) -> _Destination:
        """Raises ``UpstreamFailed`` for a URL that leads nowhere."""
        known = self._known.get(url)
        if known is None:
            if len(self._known) >= KNOWN_URLS:
                self._known.clear()
            known = self._known[url] = self._look_at(url)
        return known

    def _look_at(self, url: str) -> _Destination:
        try:
            parts = urlsplit(url)
            if parts.scheme not in NETWORK or not parts.hostname or parts.username is not None or not url.isascii():
                raise ValueError("no address")
            if any(char <= " " or char == "\x7f" for char in url):
                raise ValueError("a blank")
            key = ClientRequest("POST", URL(url, encoded=True).origin(), loop=self.loop)
        except ValueError as error:
            raise failed("connect", "The upstream's address is not usable") from error
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return _Destination(key, target, parts.netloc)


_pools: WeakKeyDictionary[asyncio.AbstractEventLoop, _Pool] = WeakKeyDictionary()
_mounted: dict[str, httpx.AsyncBaseTransport] = {}


def _pool() -> _Pool:
    loop = asyncio.get_running_loop()
    pool = _pools.get(loop)
    if pool is None or pool.connector.closed:
        pool = _pools[loop] = _Pool(loop)
    return pool


def warm() -> None:
    """Do now what the first call would do: read the certificate authorities, make the pool. Needs a running loop."""
    _pool()


async def close_all() -> None:
    """Close every connection of the running loop; a later call opens new ones."""
    pool = _pools.pop(asyncio.get_running_loop(), None)
    if pool is not None:
        await pool.connector.close()


def mount(scheme: str, transport: httpx.AsyncBaseTransport) -> None:
    """Let ``transport`` answer calls to URLs of ``scheme``."""
    _mounted[scheme] = transport


def _transport(scheme: str) -> httpx.AsyncBaseTransport:
    if scheme == "echo" and scheme not in _mounted:
        from proxy.echo.transport import EchoTransport  # only installations that use it pay for it

        mount(scheme, EchoTransport())
    if scheme not in _mounted:
        raise failed("connect", "The upstream's address is not usable")
    return _mounted[scheme]


# Calls.


class Answer(Protocol):
    """An upstream's answer. ``headers`` look names up without regard to case."""

    status: int
    headers: Received

    async def read(self, limit: int = MAX_BODY) -> bytes:
        """The whole body, decoded; raises ``UpstreamFailed`` when it breaks off or is larger than ``limit``."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes: each item what one read brought, decoded. Raises ``UpstreamFailed`` when it breaks off."""

    async def finish(self, seconds: float) -> None:
        """Everything of interest has been read: give the rest a moment to end, so that the connection can be used again."""


class Opening:
    """A call that begins when it is entered: ``async with``. Raises ``UpstreamFailed`` when no answer comes."""

    __slots__ = ("_answer", "_body", "_headers", "_method", "_upstream", "_url")

    def __init__(self, method: str, url: str, headers: Headers, body: bytes, *, upstream: Timeouts) -> None:
        self._method = method
        self._url = url
        self._headers = headers
        self._body = body
        self._upstream = upstream
        self._answer: _NetworkAnswer | _MountedAnswer | None = None

    async def __aenter__(self) -> Answer:
        scheme = self._url.partition(":")[0]
        if scheme in NETWORK:
            self._answer = await self._ask_network()
        else:
            self._answer = await self._ask_mounted(_transport(scheme))
        return self._answer

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        answer, self._answer = self._answer, None
        if answer is not None:
            await answer.close()

    async def _ask_network(self) -> _NetworkAnswer:
        """One call; a second one on a fresh connection if a kept one turned out to be closed already."""
        pool = _pool()
        destination = pool.destination(self._url)
        head = self._head(destination)
        while True:
            connection = await self._connect(pool, destination)
            wire = connection.protocol
            assert isinstance(wire, _Wire)
            was_used = wire.used
            try:
                return await self._exchange(connection, wire, head)
            except BaseException as error:
                _cut(connection)
                if was_used and not wire.answered and isinstance(error, (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError)):
                    continue
                if isinstance(error, Exception):
                    raise _told(error, answered=wire.answered) from error
                raise

    async def _connect(self, pool: _Pool, destination: _Destination) -> Connection:
        seconds = self._upstream.connect_timeout
        limits = aiohttp.ClientTimeout(total=None, connect=seconds, sock_connect=seconds, ceil_threshold=1e9)
        try:
            return await pool.connector.connect(destination.key, traces=[], timeout=limits)
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            raise failed("connect", _connect_message(error)) from error

    async def _exchange(self, connection: Connection, wire: _Wire, head: bytes) -> _NetworkAnswer:
        wire.used, wire.answered = True, False
        wire.set_response_params(
            skip_payload=self._method == "HEAD",
            read_until_eof=True,
            auto_decompress=False,
            read_timeout=self._upstream.first_byte_timeout,
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
        wire.start_timeout()
        message, payload = await wire.read()
        while message.code < 200 and message.code != 101:
            message, payload = await wire.read()
        wire.read_timeout = self._upstream.idle_timeout
        if not payload.is_eof():
            wire.start_timeout()
        return _NetworkAnswer(connection, wire, message, payload)

    def _head(self, destination: _Destination) -> bytes:
        lines = {"host": destination.host, "user-agent": USER_AGENT, "accept-encoding": "identity"}
        for name, value in self._headers:
            lower = name.lower()
            if lower not in NEVER:
                lines[lower] = value
        if self._body or self._method not in ("GET", "HEAD"):
            lines["content-length"] = str(len(self._body))
        text = "".join([f"{name}: {value}\r\n" for name, value in lines.items()])
        if text.count("\n") != len(lines) or text.count("\r") != len(lines) or "\0" in text:
            raise failed("connect", "A header for the upstream holds a line break")
        return f"{self._method} {destination.target} HTTP/1.1\r\n{text}\r\n".encode("utf-8", "surrogateescape")

    async def _ask_mounted(self, transport: httpx.AsyncBaseTransport) -> _MountedAnswer:
        timeout = {"connect": self._upstream.connect_timeout, "read": self._upstream.first_byte_timeout}
        request = httpx.Request(self._method, self._url, headers=list(self._headers), content=self._body, extensions={"timeout": timeout})
        try:
            return _MountedAnswer(await transport.handle_async_request(request), idle=self._upstream.idle_timeout)
        except httpx.HTTPError as error:
            raise _told(error, answered=False) from error


def open(method: str, url: str, headers: Headers, body: bytes = b"", *, upstream: Timeouts) -> Opening:  # noqa: A001 - read as client.open
    """Call an upstream: see ``Opening``. Of headers given twice the last counts; length and connection are set here."""
    return Opening(method, url, headers, body, upstream=upstream)


# Answers.


class _NetworkAnswer:
    def __init__(self, connection: Connection, wire: _Wire, message: Any, payload: Any) -> None:
        self.status: int = message.code
        self.headers: Received = message.headers
        self._connection = connection
        self._wire = wire
        self._payload = payload

    async def read(self, limit: int = MAX_BODY) -> bytes:
        decoder = self._decoder()
        pieces: list[bytes] = []
        size = 0
        async for piece in self._decoded(decoder) if decoder else self._raw():
            pieces.append(piece)
            size += len(piece)
            if size > limit:
                raise failed("bad_gateway", "The upstream's answer is too large", answered=True)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def chunks(self) -> AsyncIterator[bytes]:
        decoder = self._decoder()
        return self._decoded(decoder) if decoder else self._raw()

    def _decoder(self) -> Decoder | None:
        encoding = self.headers.get("content-encoding")
        if not encoding:
            return None
        try:
            return decoder_for(encoding)
        except CorruptError as error:
            raise _told(error, answered=True) from error

    async def _raw(self) -> AsyncIterator[bytes]:
        readany = self._payload.readany
        try:
            while chunk := await readany():
                yield chunk
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise _told(error, answered=True) from error

    async def _decoded(self, decoder: Decoder) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._raw():
                for piece in decoder.feed(chunk):
                    yield piece
            decoder.close()
        except CorruptError as error:
            raise _told(error, answered=True) from error

    async def finish(self, seconds: float) -> None:
        """See ``Answer.finish``. Mostly the end came with the last event, and there is nothing to wait for."""
        if self._payload.is_eof():
            return
        try:
            async with asyncio.timeout(seconds):
                while await self._payload.readany():
                    pass
        except (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError):
            return  # close() sees that it has not ended

    async def close(self) -> None:
        """Give the connection back if its answer was read to the end, else close it now."""
        if self._payload.is_eof() and self._payload.exception() is None:
            self._connection.release()
        else:
            _cut(self._connection)


class _MountedAnswer:
    def __init__(self, response: httpx.Response, *, idle: float) -> None:
        self.status = response.status_code
        self.headers: Received = response.headers
        self._response = response
        self._idle = idle

    async def read(self, limit: int = MAX_BODY) -> bytes:
        pieces = [piece async for piece in self.chunks()]
        if sum(map(len, pieces)) > limit:
            raise failed("bad_gateway", "The upstream's answer is too large", answered=True)
        return b"".join(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        stream = self._response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        pieces = aiter(stream)
        try:
            while True:
                async with asyncio.timeout(self._idle):
                    piece = await anext(pieces, None)
                if piece is None:
                    return
                yield piece
        except (httpx.HTTPError, TimeoutError) as error:
            raise _told(error, answered=True) from error

    async def finish(self, seconds: float) -> None:
        """Nothing is used again."""

    async def close(self) -> None:
        stream = self._response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        await stream.aclose()


def _cut(connection: Connection) -> None:
    """Close a connection now, whatever is still on its way."""
    wire = connection.protocol
    if wire is not None:
        wire.abort()
    connection.close()


# Failures.


def _told(error: Exception, *, answered: bool) -> UpstreamFailed:
    """What went wrong in a call, as the rules know it."""
    if isinstance(error, UpstreamFailed):
        return error
    if isinstance(error, (aiohttp.ServerTimeoutError, httpx.TimeoutException, TimeoutError)):
        return failed("timeout", "The upstream did not answer in time", answered=answered)
    if isinstance(error, httpx.ConnectError):
        return failed("connect", "No connection to the upstream")
    if isinstance(error, CorruptError):
        return failed("network", f"The upstream's answer cannot be decoded: {error}", answered=answered)
    if isinstance(error, HttpProcessingError):
        return failed("network", "The upstream's answer is not valid HTTP", answered=answered)
    return failed("network", "The connection to the upstream broke", answered=answered)


def _connect_message(error: Exception) -> str:
    """Why there is no connection, without the address."""
    for kind, message in _CONNECT_MESSAGES:
        if isinstance(error, kind):
            return message
    return "No connection to the upstream"


_CONNECT_MESSAGES: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "The upstream's certificate is not valid"),
    (aiohttp.ClientConnectorSSLError, "No secure connection to the upstream"),
    (aiohttp.ClientConnectorDNSError, "The upstream's name cannot be resolved"),
    (TimeoutError, "No connection to the upstream in time"),
    (ConnectionRefusedError, "The upstream refused the connection"),
)

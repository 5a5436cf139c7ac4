"""Responses of upstreams, read as they arrive, and the failures of a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol
from urllib.parse import urlsplit, urlunsplit

import aiohttp
import httpx
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError

from proxy.translation.errors import Failure, Kind, UpstreamFailed
from upstreams.http.content_encoding import CorruptError, Decoder, decoder_for
from upstreams.http.headers import Received
from upstreams.http.pool import cut

MAX_BODY = 64 * 1024 * 1024
"""The most bytes that ``read`` returns."""

TOO_LARGE = "The upstream response is too large"


def failed(kind: Kind, message: str, *, answered: bool = False) -> UpstreamFailed:
    """The failure of a call; ``message`` names no address and no credential."""
    return UpstreamFailed(Failure(kind=kind, message=message), answered=answered)


def failure_of(error: Exception, *, answered: bool) -> UpstreamFailed:
    """The failure that an exception of a call means once there was a connection."""
    if isinstance(error, UpstreamFailed):
        return error
    if isinstance(error, (aiohttp.ServerTimeoutError, httpx.TimeoutException, TimeoutError)):
        return failed("timeout", "The upstream did not answer in time", answered=answered)
    if isinstance(error, httpx.ConnectError):
        return failed("connect", "No connection to the upstream")
    if isinstance(error, CorruptError):
        return failed("network", f"The upstream response cannot be decoded: {error}", answered=answered)
    if isinstance(error, HttpProcessingError):
        return failed("network", "The upstream response is not valid HTTP", answered=answered)
    return failed("network", "The connection to the upstream broke", answered=answered)


MAX_LOCATION = 200
"""Characters of an address that a message shows."""


def unusable_status(status: int, received: Received) -> str | None:
    """Why a response without an error status has no content: a redirect, which is not followed, or none by its status."""
    if status in (204, 205, 304):
        return f"The upstream answered {status}, which has no content"
    if not 300 <= status < 400:
        return None
    location = _shown_location(received.get("location", ""))
    if not location:
        return f"The upstream redirects ({status}) without an address"
    return f"The upstream redirects to {location}: change its address"


def _shown_location(location: str) -> str:
    """An address without what may be secret in it: credentials, query and fragment."""
    try:
        parts = urlsplit(location)
    except ValueError:
        return ""
    location_text = urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))
    return "".join(char for char in location_text if " " < char < "\x7f")[:MAX_LOCATION]


class UpstreamResponse(Protocol):
    """A response of an upstream: status, headers (case-insensitive look-up) and body."""

    status: int
    headers: Received

    async def read(self, limit: int = MAX_BODY) -> bytes:
        """The whole body, decoded; raises ``UpstreamFailed`` when it breaks off or is larger than ``limit``."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives: each item holds the bytes of one read, decoded. Raises ``UpstreamFailed`` when it breaks off."""

    async def finish(self, seconds: float) -> None:
        """Wait ``seconds`` at most for the end of the body after its last event, so that the pool can keep the connection."""

    async def close(self) -> None:
        """Return the connection to the pool if the body was read to its end, else close it."""


class NetworkResponse:
    """A response over a pooled connection."""

    def __init__(self, connection: Connection, message: Any, payload: Any) -> None:
        self.status: int = message.code
        self.headers: Received = message.headers
        self._connection = connection
        self._payload = payload

    async def read(self, limit: int = MAX_BODY) -> bytes:
        """See ``UpstreamResponse``."""
        pieces: list[bytes] = []
        size = 0
        if "content-encoding" not in self.headers:
            readany = self._payload.readany
            try:
                while piece := await readany():
                    size = _add_piece(piece, pieces, size, limit)
            except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
                raise failure_of(error, answered=True) from error
        else:
            async with aclosing(self._body()) as body:
                async for piece in body:
                    size = _add_piece(piece, pieces, size, limit)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def chunks(self) -> AsyncIterator[bytes]:
        """See ``UpstreamResponse``."""
        return self._body()

    def _body(self) -> AsyncGenerator[bytes, None]:
        encoding = self.headers.get("content-encoding")
        if not encoding:
            return self._raw()
        try:
            decoder = decoder_for(encoding)
        except CorruptError as error:
            raise failure_of(error, answered=True) from error
        return self._raw() if decoder is None else self._decoded(decoder)

    async def _raw(self) -> AsyncGenerator[bytes, None]:
        readany = self._payload.readany
        try:
            while chunk := await readany():
                yield chunk
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise failure_of(error, answered=True) from error

    async def _decoded(self, decoder: Decoder) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._raw():
                for piece in decoder.feed(chunk):
                    yield piece
            decoder.close()
        except CorruptError as error:
            raise failure_of(error, answered=True) from error

    async def finish(self, seconds: float) -> None:
        """See ``UpstreamResponse``. Usually the end arrived with the last event."""
        if self._payload.is_eof():
            return
        try:
            async with asyncio.timeout(seconds):
                while await self._payload.readany():
                    pass
        except (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError):
            return  # close() sees that the body has not ended

    async def close(self) -> None:
        """See ``UpstreamResponse``."""
        if self._payload.is_eof() and self._payload.exception() is None:
            self._connection.release()
        else:
            cut(self._connection)


def _add_piece(piece: bytes, pieces: list[bytes], size: int, limit: int) -> int:
    """Add a piece to those of a body; returns their size. Raises ``UpstreamFailed`` if it exceeds ``limit``."""
    pieces.append(piece)
    size += len(piece)
    if size > limit:
        raise failed("bad_gateway", TOO_LARGE, answered=True)
    return size


class MountedResponse:
    """A response of an httpx transport."""

    def __init__(self, response: httpx.Response, *, idle: float) -> None:
        self.status = response.status_code
        self.headers: Received = response.headers
        self._response = response
        self._idle = idle

    async def read(self, limit: int = MAX_BODY) -> bytes:
        """See ``UpstreamResponse``."""
        body = bytearray()
        async with aclosing(self.chunks()) as pieces:
            async for piece in pieces:
                body += piece
                if len(body) > limit:
                    raise failed("bad_gateway", TOO_LARGE, answered=True)
        return bytes(body)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """See ``UpstreamResponse``."""
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
            raise failure_of(error, answered=True) from error

    async def finish(self, seconds: float) -> None:
        """Nothing to do: there is no connection."""

    async def close(self) -> None:
        """See ``UpstreamResponse``."""
        stream = self._response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        await stream.aclose()

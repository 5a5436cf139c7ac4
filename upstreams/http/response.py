"""Upstreams' answers, read as they come; and what goes wrong, said in the words of the rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, Protocol

import aiohttp
import httpx
from aiohttp.connector import Connection
from aiohttp.http_exceptions import HttpProcessingError

from proxy.translation.errors import Failure, Kind, UpstreamFailed
from upstreams.http.content_encoding import CorruptError, Decoder, decoder_for
from upstreams.http.headers import Received
from upstreams.http.pool import cut

MAX_BODY = 64 * 1024 * 1024
"""Bytes that ``read`` takes at most."""

TOO_LARGE = "The upstream's answer is too large"


def failed(kind: Kind, message: str, *, answered: bool = False) -> UpstreamFailed:
    """The failure of a call; ``message`` names no address and no credential."""
    return UpstreamFailed(Failure(kind=kind, message=message), answered=answered)


def told(error: Exception, *, answered: bool) -> UpstreamFailed:
    """What went wrong in a call once there was a connection."""
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


class UpstreamResponse(Protocol):
    """An upstream's answer. ``headers`` look names up without regard to case."""

    status: int
    headers: Received

    async def read(self, limit: int = MAX_BODY) -> bytes:
        """The whole body, decoded; raises ``UpstreamFailed`` when it breaks off or is larger than ``limit``."""

    def chunks(self) -> AsyncIterator[bytes]:
        """The body as it comes: each item what one read brought, decoded. Raises ``UpstreamFailed`` when it breaks off."""

    async def finish(self, seconds: float) -> None:
        """Everything of interest has been read: give the rest a moment to end, so that the connection can be used again."""

    async def close(self) -> None:
        """Give the connection back if its answer was read to the end, else close it now."""


class NetworkResponse:
    """An answer that comes over a pooled connection."""

    def __init__(self, connection: Connection, message: Any, payload: Any) -> None:
        self.status: int = message.code
        self.headers: Received = message.headers
        self._connection = connection
        self._payload = payload

    async def read(self, limit: int = MAX_BODY) -> bytes:
        """See ``Answer``."""
        pieces: list[bytes] = []
        size = 0
        async with aclosing(self._body()) as body:
            async for piece in body:
                pieces.append(piece)
                size += len(piece)
                if size > limit:
                    raise failed("bad_gateway", TOO_LARGE, answered=True)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def chunks(self) -> AsyncIterator[bytes]:
        """See ``Answer``."""
        return self._body()

    def _body(self) -> AsyncGenerator[bytes, None]:
        encoding = self.headers.get("content-encoding")
        if not encoding:
            return self._raw()
        try:
            decoder = decoder_for(encoding)
        except CorruptError as error:
            raise told(error, answered=True) from error
        return self._raw() if decoder is None else self._decoded(decoder)

    async def _raw(self) -> AsyncGenerator[bytes, None]:
        readany = self._payload.readany
        try:
            while chunk := await readany():
                yield chunk
        except (aiohttp.ClientError, HttpProcessingError, OSError) as error:
            raise told(error, answered=True) from error

    async def _decoded(self, decoder: Decoder) -> AsyncGenerator[bytes, None]:
        try:
            async for chunk in self._raw():
                for piece in decoder.feed(chunk):
                    yield piece
            decoder.close()
        except CorruptError as error:
            raise told(error, answered=True) from error

    async def finish(self, seconds: float) -> None:
        """See ``Answer``. Mostly the end came with the last event, and there is nothing to wait for."""
        if self._payload.is_eof():
            return
        try:
            async with asyncio.timeout(seconds):
                while await self._payload.readany():
                    pass
        except (aiohttp.ClientError, HttpProcessingError, OSError, TimeoutError):
            return  # close() sees that it has not ended

    async def close(self) -> None:
        """See ``Answer``."""
        if self._payload.is_eof() and self._payload.exception() is None:
            self._connection.release()
        else:
            cut(self._connection)


class MountedResponse:
    """An answer of an httpx transport."""

    def __init__(self, response: httpx.Response, *, idle: float) -> None:
        self.status = response.status_code
        self.headers: Received = response.headers
        self._response = response
        self._idle = idle

    async def read(self, limit: int = MAX_BODY) -> bytes:
        """See ``Answer``."""
        pieces = [piece async for piece in self.chunks()]
        if sum(map(len, pieces)) > limit:
            raise failed("bad_gateway", TOO_LARGE, answered=True)
        return b"".join(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """See ``Answer``."""
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
            raise told(error, answered=True) from error

    async def finish(self, seconds: float) -> None:
        """Nothing is used again."""

    async def close(self) -> None:
        """See ``Answer``."""
        stream = self._response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        await stream.aclose()

"""Writes an ``StreamingResponse`` out: the status with the first piece, keep-alives while nothing comes, the iterator always closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from proxy.exchange.http_response import Header, JsonResponse, StreamingResponse

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


async def send_whole(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    """A complete answer in two ASGI messages."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class StreamWriter:
    """One stream on its way to the client. ``common`` are the headers that every answer has; ``idle`` is in seconds."""

    def __init__(self, answer: StreamingResponse, *, send: Send, common: list[Header], idle: float) -> None:
        self.started = False
        self._answer = answer
        self._send = send
        self._common = common
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._last = self._loop.time()
        self._waiting = True
        self._beating: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Write until the pieces end. What the iterator raises comes out; it is closed then, and when this task is cancelled."""
        hold = self._idle if self._answer.hold_seconds is None else self._answer.hold_seconds
        self._wait = min(hold, self._idle)
        beat = self._loop.call_later(self._wait, self._beat) if self._answer.keepalive else None
        self._next_beat = beat
        try:
            async with aclosing(self._answer.pieces) as pieces:
                async for piece in pieces:
                    self._waiting = False
                    if piece.__class__ is not bytes and not await self._whole(piece):
                        return
                    if not self.started:
                        await self._start()
                    if piece.__class__ is bytes:
                        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                    self._last = self._loop.time()
                    self._waiting = True
            self._waiting = False
            if not self.started:
                await self._start()
            await self._send({"type": "http.response.body"})
        finally:
            if self._next_beat is not None:
                self._next_beat.cancel()

    async def _start(self) -> None:
        self.started = True
        answer = self._answer
        await self._send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers(), *self._common]})

    async def _whole(self, piece: Any) -> bool:
        """A whole answer instead of the stream, or, once a keep-alive went out, the event that tells the same."""
        assert isinstance(piece, JsonResponse)
        if not self.started:
            self.started = True
            await send_whole(self._send, piece.status, [*piece.headers, *self._common], piece.body)
            return False
        if self._answer.late_error is None:
            raise TypeError("a whole answer came after the stream had begun")
        await self._send({"type": "http.response.body", "body": self._answer.late_error(piece), "more_body": True})
        return True

    # Keep-alives.

    def _beat(self) -> None:
        """Look whether something went out lately; a keep-alive goes only between pieces, while we wait for the next."""
        now = self._loop.time()
        due = self._last + (self._idle if self.started else self._wait)
        if due <= now + 0.001:
            due = now + self._idle
            if self._waiting and (self.started or self._answer.late_error is not None):
                self._last = now
                self._beating = self._loop.create_task(self._keep_alive())
        self._next_beat = self._loop.call_at(due, self._beat)

    async def _keep_alive(self) -> None:
        opening = b""
        if not self.started:
            opening = self._answer.opening() if self._answer.opening is not None else b""
            await self._start()
        await self._send({"type": "http.response.body", "body": opening + self._answer.keepalive, "more_body": True})

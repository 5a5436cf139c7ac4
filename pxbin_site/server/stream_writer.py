"""Sends a ``StreamingResponse``: the status with the first piece, keep-alives during pauses; the iterator is always closed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import aclosing
from typing import Any

from proxy.exchange.http_response import Header, JsonResponse, StreamingResponse

Send = Callable[[Mapping[str, Any]], Awaitable[None]]


async def send_whole(send: Send, status: int, headers: list[Header], body: bytes) -> None:
    """Send a complete response in two ASGI messages."""
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


class StreamWriter:
    """Sends one stream. ``common``: headers of every response. ``idle``: seconds without a write before a keep-alive is sent."""

    def __init__(self, answer: StreamingResponse, *, send: Send, common: list[Header], idle: float) -> None:
        self.started = False
        self._answer = answer
        self._send = send
        self._common = common
        self._idle = idle
        hold = idle if answer.hold_seconds is None else answer.hold_seconds
        self._wait = min(hold, idle)
        self._idle_timer: asyncio.TimerHandle | None = None
        self._loop = asyncio.get_running_loop()
        self._last_write = self._loop.time()
        self._awaiting_piece = True
        self._keepalive_task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Send all pieces. Raises what the iterator raises. The iterator is closed afterwards, also if this task is cancelled."""
        if self._answer.keepalive:
            self._idle_timer = self._loop.call_later(self._wait, self._check_idle)
        try:
            async with aclosing(self._answer.pieces) as pieces:
                async for piece in pieces:
                    self._awaiting_piece = False
                    if piece.__class__ is not bytes and not await self._send_final(piece):
                        return
                    if not self.started:
                        await self._start()
                    if piece.__class__ is bytes:
                        await self._send({"type": "http.response.body", "body": piece, "more_body": True})
                    self._last_write = self._loop.time()
                    self._awaiting_piece = True
            self._awaiting_piece = False
            if not self.started:
                await self._start()
            await self._send({"type": "http.response.body"})
        finally:
            if self._idle_timer is not None:
                self._idle_timer.cancel()

    async def _start(self) -> None:
        self.started = True
        answer = self._answer
        await self._send({"type": "http.response.start", "status": answer.status, "headers": [*answer.headers(), *self._common]})

    async def _send_final(self, piece: Any) -> bool:
        """Send a complete response instead of the stream; after the status has been sent, the error event that corresponds to it.

        Returns whether the stream continues.
        """
        assert isinstance(piece, JsonResponse)
        if not self.started:
            self.started = True
            await send_whole(self._send, piece.status, [*piece.headers, *self._common], piece.body)
            return False
        if self._answer.late_error is None:
            raise TypeError("a complete response was produced after the stream had started")
        await self._send({"type": "http.response.body", "body": self._answer.late_error(piece), "more_body": True})
        return True

    # Keep-alives.

    def _check_idle(self) -> None:
        """Send a keep-alive if nothing was sent for ``idle`` seconds and the next piece is awaited; set the timer again."""
        now = self._loop.time()
        due = self._last_write + (self._idle if self.started else self._wait)
        if due <= now + 0.001:
            due = now + self._idle
            if self._awaiting_piece and (self.started or self._answer.late_error is not None):
                self._last_write = now
                self._keepalive_task = self._loop.create_task(self._keep_alive())
        self._idle_timer = self._loop.call_at(due, self._check_idle)

    async def _keep_alive(self) -> None:
        opening = b""
        if not self.started:
            opening = self._answer.opening() if self._answer.opening is not None else b""
            await self._start()
        await self._send({"type": "http.response.body", "body": opening + self._answer.keepalive, "more_body": True})

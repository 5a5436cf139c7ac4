"""Middleware: how many requests Django's threads serve at a time.

Each of them has a thread, and the threads compete with the event loop, which serves the clients of models. Unknown browsers have few
places at the admin pages, so that they neither slow these clients down nor keep the people out who work there. The management
API has its own places, and so have health checks and static files. A request that waits has no thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import cast

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.http import HttpRequest, HttpResponseBase

from pxbin_site.login import device, throttle

MAX_WAITING = 100
"""Requests that may wait for a place of the same kind."""


class Places:
    """Places for ``number`` requests at a time."""

    def __init__(self, number: int) -> None:
        self._semaphore = asyncio.Semaphore(number)
        self._waiting = 0

    async def serve(self, respond: Callable[[], Awaitable[HttpResponseBase]]) -> HttpResponseBase:
        """The response of ``respond`` when its turn has come; 503 if too many wait."""
        if self._waiting >= MAX_WAITING:
            return throttle.refusal(503, "Too many requests at the moment. Try again in a few seconds.", retry_after=2)
        self._waiting += 1
        try:
            await self._semaphore.acquire()
        finally:
            self._waiting -= 1
        try:
            return await respond()
        finally:
            self._semaphore.release()


class LimitedPlaces:
    """Comes before the first middleware that is not asynchronous. In a synchronous test client it does nothing."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            markcoroutinefunction(self)
        self.known_browsers, self.unknown_browsers = Places(8), Places(3)
        self.scripts, self.others = Places(8), Places(8)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if not self.is_async:
            return self.get_response(request)
        return self._places(request).serve(lambda: cast("Awaitable[HttpResponseBase]", self.get_response(request)))

    def _places(self, request: HttpRequest) -> Places:
        if device.read(request) is not None:
            return self.known_browsers
        if request.path.startswith("/admin"):
            return self.unknown_browsers
        return self.scripts if request.path.startswith("/api/") else self.others

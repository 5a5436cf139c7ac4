"""Refuses new requests while this process cannot keep up, so that those that run stay smooth.

The event loop's lag (how late a timer runs) says how much work waits. While it stays above the limit, a growing share of the new
requests is refused before their bodies are read; when it falls, the share falls within a second. The clients of keys that run
more than an even share of the requests are refused first. Above the largest number of running requests all new ones are refused.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Protocol

from proxy.translation.dialects.lookup import KEY_HEADERS
from pxbin_site.server.common_headers import OVERLOADED
from pxbin_site.server.http1.head import Head, RefusedError

MEASURE_SECONDS = 0.1
PATIENT_SAMPLES = 3
"""So many samples in a row have to be late before anything is refused: a single one may be a collection of garbage."""
STEP_UP, STEP_DOWN = 0.15, 0.25
"""How much the refused share changes with each sample."""
RETRY_SECONDS = 2
MESSAGE = "The gateway is overloaded; try again"
CREDENTIALS = frozenset({b"authorization", *(name.encode() for name in KEY_HEADERS)})


class Running(Protocol):
    """A running request."""

    @property
    def head(self) -> Head: ...


class Overload:
    """Decides about new requests. ``share`` of them is refused: 0.0 to 1.0; ``shed``: how many were so far."""

    def __init__(
        self, *, max_lag_seconds: float, max_running: int, running: Callable[[], Iterable[Running]], is_sheddable: Callable[[str], bool]
    ) -> None:
        """``max_lag_seconds``, ``max_running``: 0 for no limit. ``is_sheddable``: whether requests of a path may be refused."""
        self.share = 0.0
        self.shed = 0
        self._max_lag = max_lag_seconds
        self._max_running = max_running
        self._running = running
        self._is_sheddable = is_sheddable
        self._late_samples = 0
        self._debt = 0.0
        self._by_key: Counter[bytes] = Counter()

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Measure from now on."""
        if self._max_lag:
            self._schedule(loop)

    def _schedule(self, loop: asyncio.AbstractEventLoop) -> None:
        due = loop.time() + MEASURE_SECONDS

        def measure() -> None:
            self.note_lag(loop.time() - due)
            self._schedule(loop)

        loop.call_at(due, measure)

    def note_lag(self, lag: float) -> None:
        """Change the share by one sample."""
        if lag > self._max_lag:
            self._late_samples += 1
            if self._late_samples >= PATIENT_SAMPLES:
                self.share = min(1.0, self.share + STEP_UP)
                self._by_key = Counter(key_of(running.head) for running in self._running())
        else:
            self._late_samples = 0
            self.share = max(0.0, self.share - STEP_DOWN)

    def check(self, head: Head, running: int) -> None:
        """Raise ``RefusedError`` for a request that is refused; called with the number of running requests."""
        is_full = 0 < self._max_running <= running
        if not (is_full or self.share) or not self._is_sheddable(head.path):
            return
        if is_full or self._is_chosen(key_of(head)):
            self.shed += 1
            raise RefusedError(OVERLOADED, MESSAGE, retry_after=RETRY_SECONDS)

    def _is_chosen(self, key: bytes) -> bool:
        """Choose ``share`` of the requests, evenly, and more of the keys with more than an even share of what runs."""
        even = self._by_key.total() / len(self._by_key) if self._by_key else 0.0
        weight = 1.0 if len(self._by_key) < 2 else 2.0 if self._by_key[key] > even else 0.5
        self._debt += min(1.0, self.share * weight)
        if self._debt < 1.0:
            return False
        self._debt -= 1.0
        return True


def key_of(head: Head) -> bytes:
    """What a request shows as its key; empty if nothing."""
    return next((value for name, value in head.headers if name in CREDENTIALS), b"")

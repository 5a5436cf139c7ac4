"""Limits of keys: requests per minute, tokens per minute, concurrent requests.

Counted in this process's memory. All limits are checked before any is charged, so a refused request is not charged. A store
that several processes share would have the same two operations: :func:`check` and :meth:`Lease.release`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

from accounts.keys import Key
from proxy.translation.errors import ClientMistake

SWEEP_SECONDS = 60.0
Clock = Callable[[], float]


class _Bucket:
    """A token bucket of ``size``, refilled by ``rate`` per second (by default ``size`` per minute). It may be overdrawn."""

    def __init__(self, size: int, now: float, *, rate: float | None = None) -> None:
        self.size = size
        self._rate = size / 60.0 if rate is None else rate
        self._level = float(size)
        self._updated_at = now

    def level(self, now: float) -> float:
        """The current level; negative when overdrawn."""
        self._level = min(float(self.size), self._level + (now - self._updated_at) * self._rate)
        self._updated_at = now
        return self._level

    def take(self, amount: float) -> None:
        """Charge ``amount``, also beyond zero."""
        self._level -= amount

    def seconds_until(self, amount: float, now: float) -> float:
        """Seconds until the level reaches ``amount``; 0 if it has."""
        return max(0.0, (amount - self.level(now)) / self._rate)


class Lease:
    """The permission to serve one request. Release it when the request ends; a second release does nothing."""

    __slots__ = ("_key", "_limiter")

    def __init__(self, limiter: Limiter | None, key: Key | None) -> None:
        self._limiter = limiter
        self._key = key

    def release(self, *, tokens: int = 0) -> None:
        """End the request and charge its ``tokens`` (input and output)."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None and self._key is not None:
            limiter.settle(self._key, tokens)


UNLIMITED = Lease(None, None)


class Limiter:
    """The limits of all keys in one process.

    ``rps``: requests per second of each key, besides the key's own limits; 0 is no limit. ``burst``: how many may come at once
    after a pause; 0 is twice the rate.
    """

    def __init__(self, clock: Clock = time.monotonic, *, rps: float = 0.0, burst: int = 0) -> None:
        self._clock = clock
        self._rps = rps
        self._burst = burst or max(1, math.ceil(2 * rps))
        self._per_second: dict[str, _Bucket] = {}
        self._requests: dict[str, _Bucket] = {}
        self._tokens: dict[str, _Bucket] = {}
        self._running: dict[str, int] = {}
        self._swept = clock()

    def check(self, key: Key) -> Lease:
        """A lease for one request. Raises :class:`~proxy.translation.errors.ClientMistake` of kind ``rate_limit`` with ``retry-after``."""
        if key.rate_limit is None and key.token_limit is None and key.concurrency_limit is None and not self._rps:
            return UNLIMITED
        now = self._clock()
        per_second = self._second_bucket(key, now)
        requests = _bucket(self._requests, key.id, key.rate_limit, now)
        tokens = _bucket(self._tokens, key.id, key.token_limit, now)
        running = self._running.get(key.id, 0)
        if key.concurrency_limit is not None and running >= key.concurrency_limit:
            raise _refusal(f"This key may have {key.concurrency_limit} requests running at once", 1.0)
        if per_second is not None and (wait := per_second.seconds_until(1.0, now)):
            raise _refusal(f"A key may send {self._rps:g} requests per second here", wait)
        if requests is not None and (wait := requests.seconds_until(1.0, now)):
            raise _refusal(f"This key may send {requests.size} requests per minute", wait)
        if tokens is not None and (wait := tokens.seconds_until(1.0, now)):
            raise _refusal(f"This key may use {tokens.size} tokens per minute", wait)
        for bucket in (per_second, requests):
            if bucket is not None:
                bucket.take(1.0)
        self._running[key.id] = running + 1
        self._sweep(now)
        return Lease(self, key)

    def _second_bucket(self, key: Key, now: float) -> _Bucket | None:
        """The bucket of the gateway's limit per key. Anonymous requests have none: they would all share one."""
        if not self._rps or not key.id:
            return None
        if key.id not in self._per_second:
            self._per_second[key.id] = _Bucket(self._burst, now, rate=self._rps)
        return self._per_second[key.id]

    def settle(self, key: Key, tokens: int) -> None:
        """End a request of ``key``: count it as no longer running, and charge its tokens."""
        running = self._running.get(key.id, 0) - 1
        if running > 0:
            self._running[key.id] = running
        else:
            self._running.pop(key.id, None)
        if tokens and (bucket := _bucket(self._tokens, key.id, key.token_limit, self._clock())):
            bucket.take(tokens)

    def _sweep(self, now: float) -> None:
        """Drop full buckets, which are equal to new ones."""
        if now - self._swept < SWEEP_SECONDS:
            return
        self._swept = now
        for buckets in (self._requests, self._tokens, self._per_second):
            for key_id in [key_id for key_id, bucket in buckets.items() if bucket.level(now) >= bucket.size]:
                del buckets[key_id]


def _bucket(buckets: dict[str, _Bucket], key_id: str, size: int | None, now: float) -> _Bucket | None:
    """The bucket of a key; a changed limit starts a new one."""
    if size is None:
        return None
    bucket = buckets.get(key_id)
    if bucket is None or bucket.size != size:
        bucket = buckets[key_id] = _Bucket(size, now)
    bucket.level(now)
    return bucket


def _refusal(message: str, wait: float) -> ClientMistake:
    return ClientMistake(message, kind="rate_limit", headers={"retry-after": str(max(1, math.ceil(wait)))})


_limiter = Limiter()


def start(limiter: Limiter) -> None:
    """Make ``limiter`` the limiter of this process."""
    global _limiter  # noqa: PLW0603  (one for each process, set where the process is wired)
    _limiter = limiter


def check(key: Key) -> Lease:
    """:meth:`Limiter.check` with the limiter of this process."""
    return _limiter.check(key)

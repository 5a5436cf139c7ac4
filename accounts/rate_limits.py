"""How much a key may ask for: requests per minute, tokens per minute, requests at once.

Kept in this process's memory. All limits are looked at before any is charged, so a refusal costs nothing. A store that
several processes share offers the same two calls: :func:`check` and :meth:`Lease.release`.
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
    """An allowance that fills up steadily: a minute's, or ``rate`` a second. What is only known afterwards may overdraw it."""

    def __init__(self, size: int, now: float, *, rate: float | None = None) -> None:
        self.size = size
        self._rate = size / 60.0 if rate is None else rate
        self._level = float(size)
        self._at = now

    def level(self, now: float) -> float:
        """What is left."""
        self._level = min(float(self.size), self._level + (now - self._at) * self._rate)
        self._at = now
        return self._level

    def take(self, amount: float) -> None:
        """Charge without asking."""
        self._level -= amount

    def seconds_until(self, amount: float, now: float) -> float:
        """How long until ``amount`` is there; 0 when it is."""
        return max(0.0, (amount - self.level(now)) / self._rate)


class Lease:
    """The right to serve one request. Give it back once, however the request ended; again is harmless."""

    __slots__ = ("_key", "_limiter")

    def __init__(self, limiter: Limiter | None, key: Key | None) -> None:
        self._limiter = limiter
        self._key = key

    def release(self, *, tokens: int = 0) -> None:
        """The request has ended and used ``tokens`` (input and output)."""
        limiter, self._limiter = self._limiter, None
        if limiter is not None and self._key is not None:
            limiter.settle(self._key, tokens)


UNLIMITED = Lease(None, None)


class Limiter:
    """The limits of all keys in one process.

    ``rps``: requests per second of each key, whatever limits of its own it has; 0 is no limit. ``burst``: how many at once, if
    none were sent for a while; 0 is twice the rate.
    """

    def __init__(self, clock: Clock = time.monotonic, *, rps: float = 0.0, burst: int = 0) -> None:
        self._clock = clock
        self._rps = rps
        self._burst = burst or max(1, math.ceil(2 * rps))
        self._seconds: dict[str, _Bucket] = {}
        self._requests: dict[str, _Bucket] = {}
        self._tokens: dict[str, _Bucket] = {}
        self._running: dict[str, int] = {}
        self._swept = clock()

    def check(self, key: Key) -> Lease:
        """A lease, or :class:`~proxy.translation.errors.ClientMistake` of kind ``rate_limit`` with the header ``retry-after``."""
        if key.rate_limit is None and key.token_limit is None and key.concurrency_limit is None and not self._rps:
            return UNLIMITED
        now = self._clock()
        second = self._second(key, now)
        requests = _bucket(self._requests, key.id, key.rate_limit, now)
        tokens = _bucket(self._tokens, key.id, key.token_limit, now)
        running = self._running.get(key.id, 0)
        if key.concurrency_limit is not None and running >= key.concurrency_limit:
            raise _refusal(f"This key may have {key.concurrency_limit} requests running at once", 1.0)
        if second is not None and (wait := second.seconds_until(1.0, now)):
            raise _refusal(f"A key may send {self._rps:g} requests per second here", wait)
        if requests is not None and (wait := requests.seconds_until(1.0, now)):
            raise _refusal(f"This key may send {requests.size} requests per minute", wait)
        if tokens is not None and (wait := tokens.seconds_until(1.0, now)):
            raise _refusal(f"This key may use {tokens.size} tokens per minute", wait)
        for bucket in (second, requests):
            if bucket is not None:
                bucket.take(1.0)
        self._running[key.id] = running + 1
        self._sweep(now)
        return Lease(self, key)

    def _second(self, key: Key, now: float) -> _Bucket | None:
        """What the gateway allows every key; nobody's requests (without a key) are not counted together."""
        if not self._rps or not key.id:
            return None
        if key.id not in self._seconds:
            self._seconds[key.id] = _Bucket(self._burst, now, rate=self._rps)
        return self._seconds[key.id]

    def settle(self, key: Key, tokens: int) -> None:
        """A request of ``key`` has ended."""
        running = self._running.get(key.id, 0) - 1
        if running > 0:
            self._running[key.id] = running
        else:
            self._running.pop(key.id, None)
        if tokens and (bucket := _bucket(self._tokens, key.id, key.token_limit, self._clock())):
            bucket.take(tokens)

    def _sweep(self, now: float) -> None:
        """Forget the buckets that are full: a new one would be the same."""
        if now - self._swept < SWEEP_SECONDS:
            return
        self._swept = now
        for buckets in (self._requests, self._tokens, self._seconds):
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
    """Make a limiter the one of this process."""
    global _limiter  # noqa: PLW0603  (one for each process, set where the process is wired)
    _limiter = limiter


def check(key: Key) -> Lease:
    """:meth:`Limiter.check` with the limiter of this process."""
    return _limiter.check(key)

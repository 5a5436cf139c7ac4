"""Token buckets."""

from __future__ import annotations

from collections.abc import Callable

SWEEP_SECONDS = 60.0
Clock = Callable[[], float]


class Bucket:
    """A token bucket of ``size``, refilled by ``rate`` per second (by default ``size`` per minute). It may be overdrawn."""

    __slots__ = ("_level", "_rate", "_updated_at", "size")

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
        """Charge ``amount``, also beyond zero; a negative amount is given back."""
        self._level -= amount

    def seconds_until(self, amount: float, now: float) -> float:
        """Seconds until the level reaches ``amount``; 0 if it has."""
        return max(0.0, (amount - self.level(now)) / self._rate)


class Buckets:
    """A bucket for each key. A changed size starts a new one; full ones, which are equal to new ones, are dropped now and then."""

    def __init__(self, now: float, *, rate: float | None = None) -> None:
        self.by_key: dict[str, Bucket] = {}
        self._rate = rate
        self._swept = now

    def of(self, key_id: str, size: int, now: float) -> Bucket:
        """The bucket of a key."""
        bucket = self.by_key.get(key_id)
        if bucket is None or bucket.size != size:
            if now - self._swept >= SWEEP_SECONDS:
                self._sweep(now)
            bucket = self.by_key[key_id] = Bucket(size, now, rate=self._rate)
        return bucket

    def _sweep(self, now: float) -> None:
        self._swept = now
        for key_id in [key_id for key_id, bucket in self.by_key.items() if bucket.level(now) >= bucket.size]:
            del self.by_key[key_id]

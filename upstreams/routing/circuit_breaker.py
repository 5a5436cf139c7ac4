"""Circuit breakers: after consecutive failures an upstream is tried only after others, until one request has probed it."""

from __future__ import annotations

import enum

from accounts.common.steady_clock import steady_time
from upstreams.routing.cooldowns import Clock


class BreakerState(enum.StrEnum):
    """The values are those of the management API."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


class Breaker:
    """The circuit breaker of one upstream. Times are Unix seconds; 0: not open, no probe."""

    __slots__ = ("failures", "open_until", "probe_until")

    def __init__(self) -> None:
        self.failures = 0
        self.open_until = 0.0
        self.probe_until = 0.0

    def state(self, now: float) -> BreakerState:
        """``HALF_OPEN`` lets one request through as a probe; while the probe runs, other requests see ``OPEN``."""
        if not self.open_until:
            return BreakerState.CLOSED
        if now < self.open_until or now < self.probe_until:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN


class Breakers:
    """The breakers of all upstreams. ``threshold`` consecutive failures open one for ``open_seconds``."""

    def __init__(self, *, threshold: int, open_seconds: float, clock: Clock = steady_time) -> None:
        self.threshold = threshold
        self.open_seconds = open_seconds
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}

    def state(self, upstream_id: str) -> BreakerState:
        breaker = self._breakers.get(upstream_id)
        return BreakerState.CLOSED if breaker is None else breaker.state(self._clock())

    def open_until(self, upstream_id: str) -> float:
        """Until when an upstream's breaker is open; 0 if it is closed. In the past: half open, or a probe runs."""
        breaker = self._breakers.get(upstream_id)
        return 0.0 if breaker is None else breaker.open_until

    def begin_probe(self, upstream_id: str) -> None:
        """A request is sent to an upstream: it is the probe if the breaker is half open."""
        breaker = self._breakers.get(upstream_id)
        if breaker is not None and breaker.state(self._clock()) is BreakerState.HALF_OPEN:
            breaker.probe_until = self._clock() + self.open_seconds

    def abandon_probe(self, upstream_id: str) -> None:
        """A probe ended without a result (its client left): the next request is the probe."""
        breaker = self._breakers.get(upstream_id)
        if breaker is not None:
            breaker.probe_until = 0.0

    def record_first_byte(self, upstream_id: str) -> bool:
        """A response has begun. True if this closes an open breaker, which the next failure opens again."""
        breaker = self._breakers.get(upstream_id)
        if breaker is None or not breaker.open_until:
            return False
        breaker.open_until, breaker.failures = 0.0, self.threshold - 1
        return True

    def record_failure(self, upstream_id: str) -> float:
        """Count a failure. The time until which the breaker is open if this opens it, else 0."""
        breaker = self._breakers.setdefault(upstream_id, Breaker())
        breaker.failures += 1
        if breaker.failures < self.threshold:
            return 0.0
        breaker.open_until, breaker.probe_until = self._clock() + self.open_seconds, 0.0
        return breaker.open_until

    def record_success(self, upstream_id: str) -> bool:
        """A response is complete. True if this closes an open breaker."""
        breaker = self._breakers.pop(upstream_id, None)
        return breaker is not None and bool(breaker.open_until)

    def apply_open(self, upstream_id: str, until: float) -> None:
        """Another process has opened the breaker."""
        breaker = self._breakers.setdefault(upstream_id, Breaker())
        breaker.failures = max(breaker.failures, self.threshold)
        breaker.open_until = max(breaker.open_until, until)

    def open_breakers(self) -> list[tuple[str, float]]:
        """The upstreams whose breakers are open, with the end of each."""
        now = self._clock()
        return [(upstream_id, breaker.open_until) for upstream_id, breaker in list(self._breakers.items()) if breaker.open_until > now]

"""How upstreams, keys and routes stand right now: cooling, broken, fast, last used. In memory; shared by :mod:`redis_sync`.

Nothing here forbids anything: it only puts the better candidates first. Times are Unix seconds, so that processes can share them.
"""

from __future__ import annotations

import math
import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Literal

import msgspec

from upstreams.routing.cooldowns import Clock, Cooldowns

BreakerState = Literal["closed", "open", "half_open"]

LATENCY_WEIGHT = 0.3
"""The share of the newest measurement in the moving average of the time to the first token."""
AFFINITY_SECONDS = 3600.0
"""How long a silent session keeps its key: providers' prompt caches live for at most an hour."""
MOST_SESSIONS = 50_000


class StateChange(msgspec.Struct, frozen=True):
    """A change of standing that other processes want to know. ``subject``: as in :class:`Cooldowns`, an upstream's id or a session."""

    kind: Literal["cooling", "cleared", "broken", "mended", "session", "used"]
    subject: str
    until: float = 0.0
    value: str = ""


Publish = Callable[[StateChange], None]


def _nobody(change: StateChange) -> None:
    """Publishes nothing: a single process needs nobody."""


class Breaker:
    """The circuit breaker of one upstream: open after so many failures in a row, then one probe at a time."""

    __slots__ = ("failures", "opened_until", "probing_until")

    def __init__(self) -> None:
        self.failures = 0
        self.opened_until = 0.0
        self.probing_until = 0.0

    def state(self, now: float) -> BreakerState:
        """``half_open`` lets one request through as a probe; while that one runs the others see ``open``."""
        if not self.opened_until:
            return "closed"
        if now < self.opened_until or now < self.probing_until:
            return "open"
        return "half_open"


class Breakers:
    """All upstreams' breakers. ``threshold`` failures in a row open one for ``rest`` seconds."""

    def __init__(self, *, threshold: int, rest: float, clock: Clock = time.time) -> None:
        self.threshold = threshold
        self.rest = rest
        self._clock = clock
        self._breakers: dict[str, Breaker] = {}

    def state(self, upstream: str) -> BreakerState:
        """How an upstream's breaker stands."""
        breaker = self._breakers.get(upstream)
        return "closed" if breaker is None else breaker.state(self._clock())

    def opened_until(self, upstream: str) -> float:
        """Until when an upstream's breaker is open; 0 for one that is closed."""
        breaker = self._breakers.get(upstream)
        return 0.0 if breaker is None else breaker.opened_until

    def probes(self, upstream: str) -> None:
        """A request goes to an upstream; if its breaker is half open, this one is the probe."""
        breaker = self._breakers.get(upstream)
        if breaker is not None and breaker.state(self._clock()) == "half_open":
            breaker.probing_until = self._clock() + self.rest

    def released(self, upstream: str) -> None:
        """A probe has shown nothing (its client left): the next request is one."""
        breaker = self._breakers.get(upstream)
        if breaker is not None:
            breaker.probing_until = 0.0

    def began(self, upstream: str) -> bool:
        """An upstream has begun an answer: true when that closes an open breaker. If it breaks off, it is open again."""
        breaker = self._breakers.get(upstream)
        if breaker is None or not breaker.opened_until:
            return False
        breaker.opened_until, breaker.failures = 0.0, self.threshold - 1
        return True

    def failed(self, upstream: str) -> float:
        """Count a failure; when it opens the breaker, the moment until which, else 0."""
        breaker = self._breakers.setdefault(upstream, Breaker())
        breaker.failures += 1
        if breaker.failures < self.threshold:
            return 0.0
        breaker.opened_until, breaker.probing_until = self._clock() + self.rest, 0.0
        return breaker.opened_until

    def opened(self, upstream: str, until: float) -> None:
        """Another process has opened it."""
        breaker = self._breakers.setdefault(upstream, Breaker())
        breaker.failures = max(breaker.failures, self.threshold)
        breaker.opened_until = max(breaker.opened_until, until)

    def succeeded(self, upstream: str) -> bool:
        """An upstream answered; true when that closes an open breaker."""
        breaker = self._breakers.pop(upstream, None)
        return breaker is not None and bool(breaker.opened_until)

    def holding(self) -> list[tuple[str, float]]:
        """The upstreams whose breakers are open, and until when."""
        now = self._clock()
        return [(upstream, breaker.opened_until) for upstream, breaker in list(self._breakers.items()) if breaker.opened_until > now]


class _Kept(msgspec.Struct):
    """A session's key, until when it counts, and when the other processes were last told of it (long ago: never)."""

    key: str
    until: float
    told: float = -math.inf


class Sessions:
    """Which key a session was served with: its prompt cache is there. The least recently used are forgotten."""

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._keys: OrderedDict[str, _Kept] = OrderedDict()

    def key_of(self, session: str) -> str | None:
        """The key of a session that is not too old."""
        known = self._keys.get(session)
        return None if known is None or known.until < self._clock() else known.key

    def expect(self, session: str, key: str) -> None:
        """A new session's first request goes out with a key: those that come before its answer go there too."""
        if self.key_of(session) is None:
            self._keep(session, _Kept(key, self._clock() + AFFINITY_SECONDS))

    def keep(self, session: str, key: str) -> bool:
        """A session was served with a key; true when the others should hear of it: it is news, or old enough to be forgotten."""
        now, known = self._clock(), self._keys.get(session)
        told = known.told if known is not None and known.key == key else -math.inf
        is_due = told + AFFINITY_SECONDS / 2 < now
        self._keep(session, _Kept(key, now + AFFINITY_SECONDS, now if is_due else told))
        return is_due

    def holding(self) -> list[tuple[str, str]]:
        """The sessions that have a key, and which."""
        now = self._clock()
        return [(session, kept.key) for session, kept in list(self._keys.items()) if kept.until > now]

    def _keep(self, session: str, kept: _Kept) -> None:
        self._keys[session] = kept
        self._keys.move_to_end(session)
        if len(self._keys) > MOST_SESSIONS:
            self._keys.popitem(last=False)


class RoutingState:
    """Everything that routing wants to know besides the catalogue."""

    def __init__(self, *, threshold: int = 5, rest: float = 30.0, clock: Clock = time.time) -> None:
        self.clock = clock
        self.cooldowns = Cooldowns(clock)
        self.breakers = Breakers(threshold=threshold, rest=rest, clock=clock)
        self.sessions = Sessions(clock)
        self.publish: Publish = _nobody
        self._latency: dict[str, float] = {}
        self._last_used: dict[str, str] = {}
        self._turns: dict[str, int] = {}

    # --- what happened --------------------------------------------------------------------------------------------------

    def cool(self, subject: str, seconds: float) -> float:
        """Let something rest; returns until when."""
        until = self.clock() + seconds
        if self.cooldowns.set(subject, until):
            self.publish(StateChange("cooling", subject, until))
        return until

    def clear(self, key: str, upstream: str) -> None:
        """An admin, or a probe, says that a key is well, and its upstream with it."""
        self.learnt(change := StateChange("cleared", key, value=upstream))
        self.publish(change)

    def upstream_failed(self, upstream: str) -> float:
        """A failure that the breaker counts; when it opens, the moment until which, else 0."""
        until = self.breakers.failed(upstream)
        if until:
            self.publish(StateChange("broken", upstream, until))
        return until

    def upstream_answered(self, upstream: str) -> None:
        """An upstream works."""
        if self.breakers.succeeded(upstream):
            self.publish(StateChange("mended", upstream))

    def sent(self, *, upstream: str, key: str, route: str, has_others: bool = True, session: str | None = None) -> None:
        """A request goes out with a key: the next new session takes the one after it. ``has_others``: of the same upstream."""
        self.breakers.probes(upstream)
        self.cooldowns.probes(key, route, upstream)
        if has_others:
            self._last_used[upstream] = key
            self.publish(StateChange("used", upstream, value=key))
        if session is not None:
            self.sessions.expect(session, key)

    def began(self, *, upstream: str, key: str, route: str) -> None:
        """An answer has begun: whatever had rested works again."""
        self.cooldowns.worked(key, route, upstream)
        if self.breakers.began(upstream):
            self.publish(StateChange("mended", upstream))

    def left(self, *, upstream: str, key: str, route: str) -> None:
        """A request ended without a word on its upstream: its client left, or another candidate was faster."""
        self.breakers.released(upstream)
        self.cooldowns.released(key, route, upstream)

    def served(self, key: str, session: str) -> None:
        """A key has served a request of a session (:func:`upstreams.routing.plan.session_of`)."""
        if self.sessions.keep(session, key):
            self.publish(StateChange("session", session, value=key))

    def first_token(self, route: str, seconds: float) -> None:
        """A route took so long to its first token."""
        known = self._latency.get(route)
        self._latency[route] = seconds if known is None else known + LATENCY_WEIGHT * (seconds - known)

    def learnt(self, change: StateChange) -> None:
        """Another process tells of a change."""
        if change.kind == "cooling":
            self.cooldowns.set(change.subject, change.until)
        elif change.kind == "cleared":
            self.cooldowns.clear(change.subject, change.value)
            self.breakers.succeeded(change.value)
        elif change.kind == "broken":
            self.breakers.opened(change.subject, change.until)
        elif change.kind == "mended":
            self.breakers.succeeded(change.subject)
        elif change.kind == "session":
            self.sessions.keep(change.subject, change.value)
        elif change.kind == "used":
            self._last_used[change.subject] = change.value

    def holding(self) -> list[StateChange]:
        """What holds now, as those want to know it who have forgotten everything."""
        return [
            *(StateChange("cooling", subject, until) for subject, until in self.cooldowns.holding()),
            *(StateChange("broken", upstream, until) for upstream, until in self.breakers.holding()),
            *(StateChange("used", upstream, value=key) for upstream, key in list(self._last_used.items())),
            *(StateChange("session", session, value=key) for session, key in self.sessions.holding()),
        ]

    # --- what routing asks ------------------------------------------------------------------------------------------------

    def latency(self, route: str) -> float:
        """The moving average of a route's time to the first token; unknown ones come first, to be tried."""
        return self._latency.get(route, 0.0)

    def last_used(self, upstream: str) -> str:
        """The key that an upstream's last request went out with."""
        return self._last_used.get(upstream, "")

    def turn(self, model: str) -> int:
        """0, 1, 2 … for the requests of a model in turn."""
        turn = self._turns.get(model, -1) + 1
        self._turns[model] = turn
        return turn


_standing = RoutingState()


def current() -> RoutingState:
    """The standing of this process."""
    return _standing


def start(standing: RoutingState) -> RoutingState:
    """Make a standing the one of this process."""
    global _standing  # noqa: PLW0603  (one for each process, set where the process is wired)
    _standing = standing
    return standing

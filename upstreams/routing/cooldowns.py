"""Cooldowns: until when a credential, a credential on one route, or a whole upstream is tried only after others.

In memory. A cooldown forbids nothing: it only moves a candidate behind the others. Times are Unix seconds, so that processes
can exchange them.
"""

from __future__ import annotations

import enum
import hashlib
import math
from collections.abc import Callable

from accounts.common.steady_clock import steady_time

Clock = Callable[[], float]

PROBE_SECONDS = 30.0
"""How long the first request after a cooldown may run before the next request becomes a probe as well."""
FORGET_SECONDS = 600.0
"""How long after its end a cooldown still counts as half open."""


MAX_COOLDOWNS = 10_000
"""Names that clients choose have cooldowns of their own: their number is bounded, and the oldest one is forgotten first."""
FORGET_EVERY_SECONDS = 10.0


class CooldownScope(enum.Enum):
    """What a cooldown applies to: a credential on one route, a credential on all routes, or an upstream with all its credentials."""

    ROUTE = "route"
    CREDENTIAL = "credential"
    UPSTREAM = "upstream"


def subject_of(scope: CooldownScope, *, upstream_id: str = "", credential_id: str = "", route_id: str = "") -> str:
    """The name of a cooldown, in memory and in Redis: ``key:<id>@<route>``, ``key:<id>`` or ``upstream:<id>``.

    ``route_id`` may be a :func:`named_route`.
    """
    if scope is CooldownScope.UPSTREAM:
        return f"upstream:{upstream_id}"
    return f"key:{credential_id}" if scope is CooldownScope.CREDENTIAL else f"key:{credential_id}@{route_id}"


def named_route(route_id: str, remote_name: str) -> str:
    """One remote name of a route that passes on any name: what fails for one name says nothing of the others."""
    return f"{route_id}/{hashlib.blake2b(remote_name.encode('utf-8', 'surrogatepass'), digest_size=8).hexdigest()}"


class Cooldowns:
    """The end of each cooldown by subject (:func:`subject_of`).

    A cooldown that has ended is half open: the next request is its probe, and other requests treat it as still cooling until
    the probe succeeds, fails, is abandoned, or has run for :data:`PROBE_SECONDS`.
    """

    def __init__(self, clock: Clock = steady_time) -> None:
        self._clock = clock
        self._ends: dict[str, float] = {}
        self._probe_ends: dict[str, float] = {}
        self._next_forgetting = 0.0

    def start(self, subject: str, until: float) -> bool:
        """Start or extend a cooldown. False if the subject already cools at least as long: then nothing changes."""
        self._forget_old()
        if until <= self._ends.get(subject, 0.0):
            return False
        self._ends[subject] = until
        self._probe_ends.pop(subject, None)
        return True

    def until(self, credential_id: str, route_id: str, upstream_id: str) -> float:
        """The latest end of a candidate's cooldowns and of the probes that run; 0 if it does not cool."""
        if not self._ends:
            return 0.0
        now, latest = self._clock(), 0.0
        for subject in _subjects(credential_id, route_id, upstream_id):
            end = self._ends.get(subject, 0.0)
            if end and end <= now:
                end = self._probe_ends.get(subject, 0.0)
            latest = max(latest, end)
        return latest if latest > now else 0.0

    def begin_probe(self, credential_id: str, route_id: str, upstream_id: str) -> None:
        """A request is sent to a candidate: it is the probe of each of its cooldowns that has ended."""
        if not self._ends:
            return
        now = self._clock()
        for subject in _subjects(credential_id, route_id, upstream_id):
            if 0.0 < self._ends.get(subject, 0.0) <= now:
                self._probe_ends[subject] = now + PROBE_SECONDS

    def abandon_probe(self, credential_id: str, route_id: str, upstream_id: str) -> None:
        """A probe ended without a result (its client left): the next request is the probe."""
        if self._probe_ends:
            for subject in _subjects(credential_id, route_id, upstream_id):
                self._probe_ends.pop(subject, None)

    def record_success(self, credential_id: str, route_id: str, upstream_id: str) -> None:
        """A candidate responds: its ended cooldowns are over. One that was started while the request ran goes on."""
        if not self._ends:
            return
        now = self._clock()
        for subject in _subjects(credential_id, route_id, upstream_id):
            if self._ends.get(subject, math.inf) <= now:
                del self._ends[subject]
                self._probe_ends.pop(subject, None)

    def credential_until(self, credential_id: str, upstream_id: str = "") -> float:
        """The latest end of a credential's cooldowns on any route, and of its upstream's if that is given. It may have passed."""
        own = f"key:{credential_id}"
        ends = list(self._ends.items())
        return max(
            (end for subject, end in ends if subject in (own, f"upstream:{upstream_id}") or subject.startswith(own + "@")), default=0.0
        )

    def clear(self, credential_id: str, upstream_id: str = "") -> None:
        """End the cooldowns of a credential on all routes, and that of its upstream if that is given."""
        own = f"key:{credential_id}"
        ended = [subject for subject in list(self._ends) if subject == own or subject.startswith(own + "@")]
        for subject in (*ended, f"upstream:{upstream_id}"):
            self._ends.pop(subject, None)
            self._probe_ends.pop(subject, None)

    def active(self) -> list[tuple[str, float]]:
        """The subjects that cool now, with the end of each."""
        now = self._clock()
        return [(subject, end) for subject, end in list(self._ends.items()) if end > now]

    def _forget_old(self) -> None:
        """Remove cooldowns that ended long ago and that no request has probed: they would stay in memory for ever."""
        now = self._clock()
        while len(self._ends) >= MAX_COOLDOWNS:
            subject = next(iter(self._ends))
            self._ends.pop(subject, None)
            self._probe_ends.pop(subject, None)
        if now < self._next_forgetting:
            return
        self._next_forgetting = now + FORGET_EVERY_SECONDS
        past = now - FORGET_SECONDS
        for subject in [subject for subject, end in list(self._ends.items()) if end <= past]:
            del self._ends[subject]
            self._probe_ends.pop(subject, None)


def _subjects(credential_id: str, route_id: str, upstream_id: str) -> tuple[str, str, str]:
    """The subjects of a candidate in all scopes: :func:`subject_of`, written out because every request needs them."""
    return (f"key:{credential_id}", f"key:{credential_id}@{route_id}", f"upstream:{upstream_id}")

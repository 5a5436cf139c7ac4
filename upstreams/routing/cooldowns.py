"""What rests after a failure, until when, and how it comes back: on live traffic, one request first.

In memory. Nothing here forbids anything: it only puts the better candidates first. Times are Unix seconds, so that processes
can share them.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable

Clock = Callable[[], float]

PROBE_SECONDS = 30.0
"""How long a probe of something that has rested may go on before the next request is one too."""
FORGET_SECONDS = 600.0
"""How long after its end a cooldown is remembered as half open."""


class Cooldowns:
    """Until when something rests. Subjects: ``key:<id>``, ``upstream:<id>`` and ``key:<id>@<route id>``.

    What has rested is half open: the next request tries it, and the others wait behind it until that one has shown how it went.
    """

    def __init__(self, clock: Clock = time.time) -> None:
        self._clock = clock
        self._until: dict[str, float] = {}
        self._probing: dict[str, float] = {}

    def set(self, subject: str, until: float) -> bool:
        """Rest until a moment, unless it does so longer already: then this is no news, and false."""
        self._forget_past()
        if until <= self._until.get(subject, 0.0):
            return False
        self._until[subject] = until
        self._probing.pop(subject, None)
        return True

    def until(self, key: str, route: str, upstream: str) -> float:
        """When a candidate is rested again, or its probe has had its time; 0 when nothing of it cools."""
        if not self._until:
            return 0.0
        now, end = self._clock(), 0.0
        for subject in _subjects(key, route, upstream):
            own = self._until.get(subject, 0.0)
            if own and own <= now:
                own = self._probing.get(subject, 0.0)
            end = max(end, own)
        return end if end > now else 0.0

    def probes(self, key: str, route: str, upstream: str) -> None:
        """A request goes to a candidate: of what has rested, this one is the probe."""
        if not self._until:
            return
        now = self._clock()
        for subject in _subjects(key, route, upstream):
            if 0.0 < self._until.get(subject, 0.0) <= now:
                self._probing[subject] = now + PROBE_SECONDS

    def released(self, key: str, route: str, upstream: str) -> None:
        """A probe has shown nothing (its client left): the next request is one."""
        if self._probing:
            for subject in _subjects(key, route, upstream):
                self._probing.pop(subject, None)

    def worked(self, key: str, route: str, upstream: str) -> None:
        """A candidate answers: what has rested is well again. What was put to rest meanwhile stays at rest."""
        if not self._until:
            return
        now = self._clock()
        for subject in _subjects(key, route, upstream):
            if self._until.get(subject, math.inf) <= now:
                del self._until[subject]
                self._probing.pop(subject, None)

    def key_until(self, key: str, upstream: str = "") -> float:
        """The latest end of any cooldown of a key, and of its whole upstream where that is given; it may have passed."""
        own = f"key:{key}"
        known = list(self._until.items())
        return max(
            (end for subject, end in known if subject in (own, f"upstream:{upstream}") or subject.startswith(own + "@")), default=0.0
        )

    def clear(self, key: str, upstream: str = "") -> None:
        """A key is rested at once, on every route; and its upstream, where that is given."""
        own = f"key:{key}"
        rested = [subject for subject in list(self._until) if subject == own or subject.startswith(own + "@")]
        for subject in (*rested, f"upstream:{upstream}"):
            self._until.pop(subject, None)
            self._probing.pop(subject, None)

    def holding(self) -> list[tuple[str, float]]:
        """What rests now, and until when."""
        now = self._clock()
        return [(subject, end) for subject, end in list(self._until.items()) if end > now]

    def _forget_past(self) -> None:
        """What nobody has asked for in a long time since it has rested is as good as well."""
        past = self._clock() - FORGET_SECONDS
        for subject in [subject for subject, end in list(self._until.items()) if end <= past]:
            del self._until[subject]
            self._probing.pop(subject, None)


def _subjects(key: str, route: str, upstream: str) -> tuple[str, str, str]:
    return (f"key:{key}", f"key:{key}@{route}", f"upstream:{upstream}")

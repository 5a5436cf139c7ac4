"""Unix seconds that never jump: the wall clock at the start of the process, plus the time since then.

For ends of pauses inside a process. When the wall clock is set back an hour, a pause of two seconds must not last an hour. Other
processes and people have the wall clock: :func:`wall_time_of` and :func:`steady_time_of` convert for them.
"""

from __future__ import annotations

import time

_START = time.time() - time.monotonic()
SAME_SECONDS = 1.0
"""Below this difference both clocks count as the same: they drift a little, and times that are compared should stay equal."""


def steady_time() -> float:
    """The steady time now."""
    return _START + time.monotonic()


def wall_time_of(steady: float) -> float:
    """The wall time at which the steady clock will show ``steady``."""
    return steady + _difference()


def steady_time_of(wall: float) -> float:
    """The steady time of a wall time that another process or the database has."""
    return wall - _difference()


def _difference() -> float:
    difference = time.time() - steady_time()
    return difference if abs(difference) > SAME_SECONDS else 0.0

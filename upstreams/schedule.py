"""The scheduled tasks of this app. No Django here: the Celery app reads this before the apps are loaded."""

from __future__ import annotations

from typing import Any


def schedule(*, health_check_seconds: float, discover_seconds: float) -> dict[str, dict[str, Any]]:
    """Entries of Celery's ``beat_schedule`` by task; an interval of 0 switches a task off."""
    intervals = {"upstreams.health_check": health_check_seconds, "upstreams.discover": discover_seconds}
    return {
        task: {"task": task, "schedule": seconds, "options": {"expires": seconds}} for task, seconds in intervals.items() if seconds > 0
    }

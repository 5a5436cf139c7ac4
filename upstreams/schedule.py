"""When Celery rings which doorbell of this app. No Django here: the Celery app reads it before the apps are loaded."""

from __future__ import annotations

from typing import Any


def schedule(*, health_check_seconds: float, discover_seconds: float) -> dict[str, dict[str, Any]]:
    """The beat table; what has no seconds is not rung."""
    wanted = {"upstreams.health_check": health_check_seconds, "upstreams.discover": discover_seconds}
    return {task: {"task": task, "schedule": seconds, "options": {"expires": seconds}} for task, seconds in wanted.items() if seconds > 0}

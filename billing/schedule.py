"""When Celery rings which doorbell of this app. No Django here: the Celery app reads it before the apps are loaded."""

from __future__ import annotations

from typing import Any

DRAIN_SECONDS = 0.25
"""Together with the time after which a segment is sealed, rows are in the log within half a second of the answer, for 1 % of a core."""
HOUR = 3600.0


def schedule(*, has_broker: bool) -> dict[str, dict[str, Any]]:
    """The beat table. With a broker the web processes ship their segments themselves (`billing.request_log.shipper`)."""
    table: dict[str, dict[str, Any]] = {"prune": {"task": "billing.prune", "schedule": HOUR, "options": {"expires": HOUR}}}
    if not has_broker:
        # Expires: rings that came while the worker was busy are one ring.
        table["drain spool"] = {"task": "billing.drain_spool", "schedule": DRAIN_SECONDS, "options": {"expires": 2 * DRAIN_SECONDS}}
    return table

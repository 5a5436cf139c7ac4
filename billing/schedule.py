"""The periodic tasks of this app. No Django here: the Celery app imports it before the apps are loaded."""

from __future__ import annotations

from typing import Any

DRAIN_SECONDS = 0.25
"""Seconds between two reads of the spool. With the time until a segment is sealed, rows are in the log within half a second of the
response, for 1 % of a core."""
PRUNE_SECONDS = 120.0
"""Seconds between two deletions of old rows, which take ten seconds at most (`billing.request_log.retention`)."""
MINUTE = 60.0
HOUR = 3600.0
DAY = 86_400.0


def schedule(*, has_broker: bool) -> dict[str, dict[str, Any]]:
    """The entries for Celery beat. With a broker the web processes send their segments themselves (`billing.request_log.shipper`)."""
    table: dict[str, dict[str, Any]] = {
        "prune": {"task": "billing.prune", "schedule": PRUNE_SECONDS, "options": {"expires": PRUNE_SECONDS}},
        "build rollups": {"task": "billing.build_rollups", "schedule": MINUTE, "options": {"expires": MINUTE}},
        "check alerts": {"task": "billing.check_alerts", "schedule": MINUTE, "options": {"expires": MINUTE}},
        "sync prices": {"task": "billing.sync_prices", "schedule": HOUR, "options": {"expires": HOUR}},
    }
    if not has_broker:
        # Expires: calls that queue up while the worker is busy are dropped.
        table["drain spool"] = {"task": "billing.drain_spool", "schedule": DRAIN_SECONDS, "options": {"expires": 2 * DRAIN_SECONDS}}
    return table

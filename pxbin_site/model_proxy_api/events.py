"""The row of a request as the events that model-proxy reports."""

from __future__ import annotations

from typing import Any

from accounts.common.api_envelope import timestamp
from billing.models import RequestLog
from billing.outcomes import Outcome


def events_of(row: RequestLog) -> list[dict[str, Any]]:
    """Skipped routes, then two events for each attempt, then the end of the request."""
    routing = row.routing if isinstance(row.routing, dict) else {}
    events: list[dict[str, Any]] = [
        {"type": "route.skipped", "timestamp": timestamp(row.timestamp), "detail": skip} for skip in routing.get("skipped") or []
    ]
    for attempt in row.tries.order_by("number"):
        route = {"provider": attempt.upstream_name, "model": attempt.remote_model, "attempt": attempt.number}
        begin = timestamp(attempt.timestamp)
        events.append({"type": "route.attempted", "timestamp": begin, **route})
        ending = {"status": attempt.status_code, "latency_ms": attempt.latency_ms}
        if attempt.outcome == Outcome.FINISHED:
            events.append({"type": "route.succeeded", "timestamp": begin, **route, **ending})
        else:
            events.append({"type": "route.failed", "timestamp": begin, **route, **ending, "error": attempt.error_message})
    finished = {"status": row.status_code, "outcome": row.outcome, "model": row.model, "latency_ms": row.latency_ms}
    events.append({"type": "request.finished", "timestamp": timestamp(row.created_at), **finished, "error": row.error_message or None})
    return events

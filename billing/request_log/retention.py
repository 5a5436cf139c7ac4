"""Delete old rows, a few thousand at a time, so that other writers wait for one batch at most."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any

from django.db import models
from django.utils import timezone

from billing.models import CommittedSegment, RequestAttempt, RequestLog, RequestPayload
from billing.rollups import rebuild

BATCH_ROWS = 5000
RUN_SECONDS = 10.0
"""After which a run begins no further batch: the process that prunes also writes the log. The next run goes on."""
SEGMENT_DAYS = 2
"""Days for which ids of written segments are stored. They are needed while a segment's file exists, which is minutes, not days."""


def delete_old_rows(*, log_days: int, payload_days: int, now: datetime | None = None, seconds: float = RUN_SECONDS) -> dict[str, int]:
    """Delete old log rows with their attempts and payloads; return the numbers of deleted rows by table.

    0 days or less mean for ever. Payloads are deleted after `payload_days` or with their log row, whichever is first. Sums of deleted
    rows stay: those of 5 minutes for 35 days, longer ones for ever. After `seconds` no further batch begins.
    """
    now = now or timezone.now()
    deadline = time.monotonic() + seconds
    if log_days > 0 and not rebuild.note_pruning(now - timedelta(days=log_days)):
        log_days = 0  # the rows have not been summed up yet
    shorter_days = min((days for days in (log_days, payload_days) if days > 0), default=0)
    return {
        "payloads": _delete(RequestPayload, "timestamp", now, shorter_days, deadline),
        "attempts": _delete(RequestAttempt, "timestamp", now, log_days, deadline),
        "logs": _delete(RequestLog, "timestamp", now, log_days, deadline),
        "segments": _delete(CommittedSegment, "created_at", now, SEGMENT_DAYS, deadline),
        "rollups": rebuild.delete_short_buckets(now),
    }


def _delete(model: type[models.Model], field: str, now: datetime, days: int, deadline: float) -> int:
    if days <= 0:
        return 0
    old: models.QuerySet[Any] = model._default_manager.filter(**{f"{field}__lt": now - timedelta(days=days)}).order_by(field)  # noqa: SLF001  (documented by Django)
    deleted = 0
    while time.monotonic() < deadline and (batch := list(old.values_list("pk", flat=True)[:BATCH_ROWS])):
        deleted += model._default_manager.filter(pk__in=batch).delete()[0]  # noqa: SLF001
    return deleted

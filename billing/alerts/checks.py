"""The periodic checks: what is wrong now, as alerts. Each looks at little: an index, a small table, or the spool."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.db.models import Count, Q
from django.utils import timezone

from accounts.limits import budget_states
from accounts.models import ApiKey, Budget, ManagementKey
from billing.alert_models import AlertChannel, AlertKind
from billing.alerts.raising import Alert, raise_alert
from billing.models import RequestLog
from billing.outcomes import Outcome
from billing.request_log.journal import SPOOL_DIRECTORY
from billing.request_log.spool import Spool
from upstreams.models import Upstream

WINDOW = timedelta(minutes=5)
FEWEST_REQUESTS = 20
"""An error rate of fewer requests says nothing."""
BACKLOG_SECONDS = 60.0
BACKLOG_SEGMENTS = 200
MOST_SUBJECTS = 50
"""Models or keys that one check tells of."""


def check_all(now: datetime | None = None) -> int:
    """Raise what the checks find for the channels that want it; return the number of new alerts. Without channels nothing is read."""
    now = now or timezone.now()
    new = 0
    for channel in AlertChannel.objects.filter(is_active=True):
        for kind, check in CHECKS.items():
            if kind in channel.kinds:
                new += sum(raise_alert(alert, channel) for alert in check(channel, now))
    return new


def _error_rate(channel: AlertChannel, now: datetime) -> Iterator[Alert]:
    failed = Q(outcome=Outcome.FAILED) | Q(status_code__gte=500)
    counts = RequestLog.objects.filter(timestamp__gte=now - WINDOW, timestamp__lte=now).aggregate(
        total=Count("pk"), failed=Count("pk", filter=failed)
    )
    if counts["total"] >= FEWEST_REQUESTS and counts["failed"] * 100 >= counts["total"] * channel.error_percent:
        percent = counts["failed"] * 100 / counts["total"]
        text = f"{counts['failed']} of {counts['total']} requests failed in the last 5 minutes."
        yield Alert(AlertKind.ERROR_RATE, "all requests", f"{now:%Y-%m-%dT%H}", f"{percent:.0f} % of the requests fail", text)


def _upstream_down(_channel: AlertChannel, now: datetime) -> Iterator[Alert]:
    for row in Upstream.objects.filter(is_active=True).exclude(test_error="").order_by("name")[:MOST_SUBJECTS]:
        since = f"{row.tested_at:%Y-%m-%d %H:%M} UTC" if row.tested_at else "an unknown time"
        text = f"The health check of {since} failed: {row.test_error[:500]}"
        yield Alert(AlertKind.UPSTREAM_DOWN, row.name, f"{now:%Y-%m-%d}", f"Upstream {row.name} is down", text)


def _unpriced_model(_channel: AlertChannel, now: datetime) -> Iterator[Alert]:
    rows = RequestLog.objects.filter(
        timestamp__gte=now - WINDOW, timestamp__lte=now, cost__isnull=True, outcome=Outcome.FINISHED, attempts__gt=0
    )
    pairs = rows.order_by("remote_model", "upstream_name").values_list("remote_model", "upstream_name").distinct()
    for model, upstream in pairs[:MOST_SUBJECTS]:
        text = f"Requests are answered by {model} at {upstream}, for which no price is known: their cost is missing from every sum."
        yield Alert(AlertKind.UNPRICED_MODEL, f"{model} at {upstream}", f"{now:%Y-%m-%d}", f"No price for {model} at {upstream}", text)


def _journal_backlog(_channel: AlertChannel, now: datetime) -> Iterator[Alert]:
    waiting = Spool(settings.PXBIN.data_dir / SPOOL_DIRECTORY).sealed()
    if not waiting:
        return
    try:
        age = time.time() - waiting[0].stat().st_mtime
    except FileNotFoundError:  # it was written meanwhile
        return
    if age >= BACKLOG_SECONDS or len(waiting) >= BACKLOG_SEGMENTS:
        text = f"{len(waiting)} segments of the request log wait on this machine, the oldest for {age:.0f} seconds."
        yield Alert(AlertKind.JOURNAL_BACKLOG, "request log", f"{now:%Y-%m-%dT%H}", "The request log is behind", text)


def _key_expiring(channel: AlertChannel, now: datetime) -> Iterator[Alert]:
    end = now + timedelta(days=channel.days_before_expiry)
    for table in (ApiKey, ManagementKey):
        for row in table.objects.filter(is_active=True, expires_at__gt=now, expires_at__lte=end).order_by("expires_at")[:MOST_SUBJECTS]:
            title = f"Key {row.name or row.key_prefix} expires on {row.expires_at:%Y-%m-%d}"
            text = f"The key {row} is refused from {row.expires_at:%Y-%m-%d %H:%M} UTC on."
            yield Alert(AlertKind.KEY_EXPIRING, str(row.pk), f"{row.expires_at:%Y-%m-%dT%H:%M:%S}", title, text)


def _budget(channel: AlertChannel, _now: datetime) -> Iterator[Alert]:
    """The highest threshold that each budget has reached in its present period."""
    rows = list(Budget.objects.select_related("key", "owner", "pool").filter(amount_usd__gt=0))
    for row, state in zip(rows, budget_states.states_of(rows), strict=True):
        percent = state.spent * 100 / row.amount_usd
        reached = [threshold for threshold in channel.budget_thresholds if percent >= threshold]
        if reached:
            period = "total" if state.started_at is None else f"{state.started_at:%Y-%m-%dT%H:%M:%S}"
            title = f"Budget of {row}: {max(reached)} % reached"
            text = f"{state.spent:f} of {row.amount_usd.normalize():f} USD are spent ({percent:.1f} %)."
            if state.resets_at is not None:
                text += f" The period ends at {state.resets_at:%Y-%m-%d %H:%M} UTC."
            yield Alert(AlertKind.BUDGET, f"{row.pk} {max(reached)} %", period, title, text)


CHECKS = {
    AlertKind.BUDGET: _budget,
    AlertKind.ERROR_RATE: _error_rate,
    AlertKind.UPSTREAM_DOWN: _upstream_down,
    AlertKind.UNPRICED_MODEL: _unpriced_model,
    AlertKind.JOURNAL_BACKLOG: _journal_backlog,
    AlertKind.KEY_EXPIRING: _key_expiring,
}
"""The check of each kind."""

"""Raise an alert: a row for each channel that wants it, once for its subject and period.

Called by the periodic checks.
"""

from __future__ import annotations

from typing import NamedTuple

from django.utils import timezone

from billing.alert_models import AlertChannel, AlertDelivery, AlertKind


class Alert(NamedTuple):
    """What happened. It is sent once for its kind, subject and period."""

    kind: AlertKind
    subject: str
    period: str
    title: str
    text: str


def raise_alert(alert: Alert, channel: AlertChannel | None = None) -> int:
    """Queue an alert for `channel`, or for every active channel of its kind; return for how many it is new."""
    channels = [channel] if channel is not None else _channels(alert.kind)
    informed_ids = set(
        AlertDelivery.objects.filter(kind=alert.kind, subject=alert.subject[:300], period=alert.period[:64]).values_list(
            "channel_id", flat=True
        )
    )
    new = [new_delivery(alert, row) for row in channels if row.pk not in informed_ids]
    AlertDelivery.objects.bulk_create(new, ignore_conflicts=True)
    return len(new)


def _channels(kind: AlertKind) -> list[AlertChannel]:
    return [channel for channel in AlertChannel.objects.filter(is_active=True) if kind in channel.kinds]


def new_delivery(alert: Alert, channel: AlertChannel) -> AlertDelivery:
    """The row of an alert to a channel, not saved yet."""
    now = timezone.now()
    return AlertDelivery(
        channel=channel,
        kind=alert.kind,
        subject=alert.subject[:300],
        period=alert.period[:64],
        title=alert.title[:300],
        text=alert.text,
        created_at=now,
        next_try_at=now,
    )

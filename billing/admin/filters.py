"""Filters of the request log. Every filter has an index, so that it is fast in a large table."""

from __future__ import annotations

import uuid
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from unfold.contrib.filters.admin import RangeDateTimeFilter, TextFilter

from accounts.admin.filters import ConditionFilter
from accounts.models import ApiKey
from upstreams.models import Model, Upstream

MAX_CHOICES = 500

PERIODS = {
    "15m": ("Last 15 minutes", timedelta(minutes=15)),
    "1h": ("Last hour", timedelta(hours=1)),
    "24h": ("Last 24 hours", timedelta(hours=24)),
    "7d": ("Last 7 days", timedelta(days=7)),
    "30d": ("Last 30 days", timedelta(days=30)),
}
STATUSES = {
    "200": ("200: answered", Q(status_code=200)),
    "400": ("400: bad request", Q(status_code=400)),
    "401": ("401: no valid key", Q(status_code=401)),
    "403": ("403: not allowed", Q(status_code=403)),
    "404": ("404: unknown model or path", Q(status_code=404)),
    "429": ("429: too many requests", Q(status_code=429)),
    "499": ("499: client disconnected", Q(status_code=499)),
    "5xx": ("5xx: failed", Q(status_code__range=(500, 599))),
}


class PeriodFilter(ConditionFilter):
    """By the time since the request began."""

    title = "time"
    parameter_name = "period"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """The periods, which end now."""
        now = timezone.now()
        return {value: (name, Q(timestamp__gte=now - length)) for value, (name, length) in PERIODS.items()}


class MomentFilter(RangeDateTimeFilter):  # type: ignore[misc]  # unfold has no types
    """From and to a date and time in UTC. A date without a time includes the whole day."""

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002  (Django's signature)
        """The rows in the range; a limit that cannot be parsed is ignored."""
        for limit, lookup, default_time in (("from", "gte", time.min), ("to", "lte", time.max)):
            day, clock = (self.used_parameters.get(f"{self.parameter_name}_{limit}_{part}") or "" for part in (0, 1))
            moment = _moment(day, clock, default_time)
            if moment is not None:
                queryset = queryset.filter(**{f"{self.parameter_name}__{lookup}": moment})
        return queryset


def _moment(day: str, clock: str, default_time: time) -> datetime | None:
    try:
        return datetime.combine(date.fromisoformat(day), time.fromisoformat(clock) if clock else default_time, tzinfo=UTC)
    except ValueError:
        return None


class StatusFilter(ConditionFilter):
    """By the status that the client got."""

    title = "status"
    parameter_name = "status"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """The statuses to choose from."""
        return STATUSES


class KeyFilter(ConditionFilter):
    """By the client key."""

    title = "API key"
    parameter_name = "key"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """The existing keys by name, then the deleted ones."""
        columns = ("name", "key_prefix")
        rows = ApiKey.objects.order_by(*columns).values_list("pk", *columns)[:MAX_CHOICES]
        deleted = ApiKey.history.filter(history_type="-").order_by(*columns).values_list("id", *columns)[:MAX_CHOICES]
        titles = {pk: f"{name or 'unnamed'} ({prefix}…)" for pk, name, prefix in rows}
        titles |= {pk: f"{name or 'unnamed'} ({prefix}…), deleted" for pk, name, prefix in deleted if pk not in titles}
        return {str(pk): (title, Q(api_key_id=pk)) for pk, title in titles.items()}

    def other_condition(self, value: str) -> tuple[str, Q] | None:
        """A key that no table has any more."""
        return _by_id(value, "api_key_id")


class ModelFilter(ConditionFilter):
    """By the model name that the client sent."""

    title = "model"
    parameter_name = "asked"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """The names of models. Other names, for example aliases, can be found with the search."""
        rows = Model.objects.exclude(name__contains="*").order_by("name").values_list("name", flat=True).distinct()[:MAX_CHOICES]
        return {name: (name, Q(model=name)) for name in rows}

    def other_condition(self, value: str) -> tuple[str, Q] | None:
        """Any name that clients sent: an alias, a name that a pattern matches, an unknown one."""
        return value, Q(model=value)


class UpstreamFilter(ConditionFilter):
    """By the upstream that was called last."""

    title = "upstream"
    parameter_name = "upstream"

    def conditions(self) -> dict[str, tuple[str, Q]]:
        """The existing upstreams."""
        rows = Upstream.objects.order_by("name").values_list("pk", "name")[:MAX_CHOICES]
        return {str(pk): (name, Q(upstream_id=pk)) for pk, name in rows}

    def other_condition(self, value: str) -> tuple[str, Q] | None:
        """A deleted upstream."""
        return _by_id(value, "upstream_id")


class SessionFilter(TextFilter):  # type: ignore[misc]  # unfold has no types
    """By the session that the client named."""

    title = "session"
    parameter_name = "session"

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:  # noqa: ARG002  (Django's signature)
        """The requests of one session, by its complete id."""
        return queryset.filter(session_id=self.value()) if self.value() else queryset


def _by_id(value: str, column: str) -> tuple[str, Q] | None:
    try:
        return f"deleted ({value[:8]}…)", Q(**{column: uuid.UUID(value)})
    except ValueError:
        return None

"""Reports by a dimension, with the names of its values; and by session, which only rows know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.db.models import Count, F, Max, Min, Q, Sum

from accounts.models import ApiKey
from billing.fields import exact_sums
from billing.models import RequestLog
from billing.reports import query
from billing.reports.query import Selection
from billing.reports.totals import Totals
from upstreams.models import Upstream


class Group(msgspec.Struct, kw_only=True):
    """One value of a dimension. `name`: for people; `prefix`: of a key."""

    value: Any
    name: str
    prefix: str = ""
    totals: Totals


class Session(msgspec.Struct, kw_only=True):
    """The requests of one session: of the part of it that is in the log and in the window."""

    session_id: str
    first: datetime
    last: datetime
    models: int
    totals: Totals


def by_dimension(selection: Selection, dimension: str) -> list[Group]:
    """The values of a dimension with their totals, the dearest first. Requests without a value are one of them."""
    sums = {value: totals for (value,), totals in query.sum_by(selection, dimension).items()}
    labels = value_names(dimension, list(sums))
    groups = [
        Group(value=value, name=labels.get(value, (str(value), ""))[0], prefix=labels.get(value, ("", ""))[1], totals=totals)
        for value, totals in sums.items()
    ]
    return sorted(groups, key=lambda group: (-group.totals.cost, -group.totals.requests, group.name))


def value_names(dimension: str, values: Sequence[Any]) -> dict[Any, tuple[str, str]]:
    """Names of keys and upstreams by id, each with a key's prefix: the present ones, of deleted ones those of their first use."""
    ids = [value for value in values if value is not None]
    if dimension not in query.IDS or not ids:
        return {None: ("", "")} | ({"": ("", "")} if dimension not in query.IDS else {})
    present: dict[Any, tuple[str, str]]
    if dimension == "key":
        present = {
            str(pk): (name, prefix) for pk, name, prefix in ApiKey.objects.filter(pk__in=ids).values_list("pk", "name", "key_prefix")
        }
    else:
        present = {str(pk): (name, "") for pk, name in Upstream.objects.filter(pk__in=ids).values_list("pk", "name")}
    missing = [value for value in ids if value not in present]
    past = query.names(dimension, missing) if missing else {}
    return {None: ("", "")} | past | present


def by_session(selection: Selection, *, limit: int | None = None) -> list[Session]:
    """The sessions of a window, the dearest first. Reads rows of the log, not rollups."""
    columns = {"key": "api_key_id", "model": "counted_model", "upstream": "upstream_id", "error": "error_type", "status": "status_code"}
    rows = RequestLog.objects.filter(timestamp__gte=datetime.fromtimestamp(selection.window.begin, UTC)).exclude(session_id="")
    if selection.window.end is not None:
        rows = rows.filter(timestamp__lt=datetime.fromtimestamp(selection.window.end, UTC))
    for name, values in selection.values.items():
        rows = rows.filter(**{f"{columns.get(name, name)}__in": values})
    tokens = ("input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens")
    sums = {name: Sum(name) for name in (*tokens, "attempts", "latency_ms", "overhead_us")}
    is_used = Q(input_tokens__gt=0) | Q(output_tokens__gt=0) | Q(cache_read_tokens__gt=0)
    groups = rows.values("session_id").annotate(
        requests=Count("pk"),
        first=Min("timestamp"),
        last=Max("timestamp"),
        models=Count("counted_model", distinct=True),
        errors=Count("pk", filter=Q(status_code__gte=400)),
        unpriced=Count("pk", filter=Q(cost=None) & is_used),
        **exact_sums("cost"),
        **sums,
    )
    groups = groups.order_by(F("cost_micro").desc(nulls_last=True), "-last", "session_id")
    return [_session(group) for group in (groups if limit is None else groups[:limit])]


def _session(group: Mapping[str, Any]) -> Session:
    sums = {name: value or 0 for name, value in group.items() if name not in ("session_id", "first", "last", "models")}
    return Session(
        session_id=group["session_id"],
        first=group["first"],
        last=group["last"],
        models=group["models"],
        totals=Totals(**sums),
    )

"""The page "Usage": requests, tokens and cost by one dimension, over time and as a table, which can be downloaded as it is shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final, NamedTuple
from urllib.parse import urlencode

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.views.decorators.http import require_safe

from billing.admin import charts, figures
from billing.admin.charts import Chart
from billing.admin.figures import Period
from billing.admin.formatting import NONE, dollars, rounded_dollars
from billing.reports import breakdowns, items, query, tags
from billing.reports.query import Selection
from billing.reports.totals import Totals, add

DIMENSIONS: Final[Mapping[str, str]] = {
    "key": "API key",
    "model": "Model",
    "upstream": "Upstream",
    "owner": "Owner",
    "tag": "Tag",
    "session": "Session",
    "dialect": "API format",
    "status": "Status",
    "error": "Error",
}
MAX_ROWS = 200
NO_VALUE: Final[Mapping[str, str]] = {
    "key": "no valid key",
    "model": "no model",
    "upstream": "no upstream was called",
    "owner": "no owner",
    "tag": "no tag",
    "error": "no error",
}


class Measure(NamedTuple):
    """What a chart shows: its title, the number of totals, and that number as a text."""

    title: str
    number: Callable[[Totals], float]
    text: Callable[[float], str]


MEASURES: Final[Mapping[str, Measure]] = {
    "cost": Measure("Cost", lambda totals: float(totals.cost), lambda number: rounded_dollars(Decimal(str(number)))),
    "requests": Measure("Requests", lambda totals: totals.requests, lambda number: f"{number:,.0f}"),
    "tokens": Measure("Tokens", lambda totals: totals.tokens, lambda number: f"{number:,.0f}"),
    "errors": Measure("Errors", lambda totals: totals.errors, lambda number: f"{number:,.0f}"),
}


class Row(NamedTuple):
    """A value of the dimension with its totals and the requests that it stands for."""

    value: Any
    name: str
    totals: Totals
    url: str


@require_safe
def usage_page(request: HttpRequest) -> HttpResponse:
    """The page, or its table as CSV (`format=csv`)."""
    if not request.user.has_perm("billing.view_requestlog"):
        raise PermissionDenied
    period = figures.period_of(request, timezone.now())
    by = request.GET.get("by", "")
    by = by if by in DIMENSIONS else "key"
    measure = request.GET.get("measure", "")
    measure = measure if measure in MEASURES else "cost"
    rows = sorted(_rows(period, by), key=lambda row: (-MEASURES[measure].number(row.totals), -row.totals.requests, row.name))
    if request.GET.get("format") == "csv":
        return _csv(by, rows, period)
    total = add(row.totals for row in rows) if by != "tag" else query.sum_up(Selection(period.window))
    context = {
        **admin.site.each_context(request),
        "title": "Usage",
        "period": period,
        "periods": _choices(request, "period", figures.PERIOD_TITLES, period.name),
        "dimensions": _choices(request, "by", DIMENSIONS, by),
        "measures": _choices(request, "measure", {name: one.title for name, one in MEASURES.items()}, measure),
        "csv_url": "?" + urlencode({**_parameters(request), "by": by, "format": "csv"}),
        "chart": _chart(period, by, rows, MEASURES[measure]),
        "header": DIMENSIONS[by],
        "rows": [_cells(row, total) for row in rows[:MAX_ROWS]],
        "more": max(len(rows) - MAX_ROWS, 0),
        "total": _cells(Row(None, "Total", total, figures.log_url(period)), total),
        "note": figures.cost_note(total),
        "is_shared": by == "tag",
    }
    return render(request, "admin/usage.html", context)


def _rows(period: Period, by: str) -> list[Row]:
    selection = Selection(period.window)
    if by == "session":
        sessions = breakdowns.by_session(selection)
        return [Row(one.session_id, one.session_id, one.totals, figures.value_url(period, by, one.session_id)) for one in sessions]
    if by == "tag":
        return [Row(tag, _tag_name(tag), totals, "") for tag, totals in tags.by_tag(selection)]
    return [
        Row(group.value, group.name or NO_VALUE.get(by, NONE), group.totals, figures.value_url(period, by, group.value))
        for group in breakdowns.by_dimension(selection, by)
    ]


def _tag_name(tag: tags.Tag) -> str:
    return f"{tag.key}: {tag.value}" if tag.key else tag.value or NO_VALUE["tag"]


def _chart(period: Period, by: str, rows: Sequence[Row], measure: Measure) -> Chart | None:
    """The rows over time; sessions have no sums by time."""
    if by == "session" or not rows:
        return None
    axis = period.axis()
    over_time: dict[Any, dict[int, float]] = {}
    for (start, value), totals in query.sum_by_time(Selection(period.window), period.resolution, "tags" if by == "tag" else by).items():
        for one in tags.tags_of(value) if by == "tag" else [value]:
            numbers = over_time.setdefault(one, {})
            bar = axis.bar_of(start)
            numbers[bar] = numbers.get(bar, 0) + measure.number(totals)
    return charts.stacked(measure.title, axis, charts.largest([(row.name, over_time.get(row.value, {})) for row in rows]), measure.text)


def _cells(row: Row, total: Totals) -> dict[str, Any]:
    """A row of the table for people."""
    totals = row.totals
    unknown = "unknown" if totals.unpriced else NONE
    return {
        "name": row.name,
        "url": row.url,
        "requests": f"{totals.requests:,}",
        "errors": f"{totals.errors:,}" if totals.errors else NONE,
        "tokens_in": f"{totals.tokens - totals.output_tokens:,}",
        "tokens_out": f"{totals.output_tokens:,}",
        "cached": f"{100 * totals.cache_hit_rate:.0f} %",
        "cost": rounded_dollars(totals.cost) if totals.priced or totals.free else unknown,
        "cost_exactly": dollars(totals.cost),
        "unpriced": f"{totals.unpriced:,}" if totals.unpriced else "",
        "share": figures.share(totals.cost, total.cost) if total.cost else figures.share(totals.requests, total.requests),
        "latency": f"{totals.avg_latency_ms:,} ms",
    }


def _csv(by: str, rows: Sequence[Row], period: Period) -> HttpResponse:
    body = items.as_csv([{by: row.name, **items.totals_item(row.totals)} for row in rows])
    name = f"usage-by-{by}-{period.name}.csv"
    return HttpResponse(body, content_type="text/csv; charset=utf-8", headers={"Content-Disposition": f'attachment; filename="{name}"'})


def _parameters(request: HttpRequest) -> dict[str, str]:
    return {name: request.GET[name] for name in ("period", "by", "measure") if name in request.GET}


def _choices(request: HttpRequest, parameter: str, titles: Mapping[str, str], chosen: str) -> list[tuple[str, str, bool]]:
    """The address, the title and whether it is chosen, of each value of a parameter."""
    return [("?" + urlencode({**_parameters(request), parameter: value}), title, value == chosen) for value, title in titles.items()]

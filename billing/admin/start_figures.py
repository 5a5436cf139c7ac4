"""The figures of the start page: cards, charts and the largest keys, models and upstreams of a period, in a fixed number of queries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from billing.admin import charts, figures
from billing.admin.charts import Chart, Series
from billing.admin.figures import Figure, Period
from billing.admin.formatting import rounded_dollars
from billing.admin.usage import NO_VALUE
from billing.reports import breakdowns, latency, overview, query
from billing.reports.breakdowns import Group
from billing.reports.latency import Latency
from billing.reports.query import Selection
from billing.reports.totals import Totals, add

TOP = 5
TOP_TITLES: Mapping[str, str] = {"key": "API keys", "model": "Models", "upstream": "Upstreams"}


class TopRow(NamedTuple):
    """One of the largest values: `percent` is the length of its bar, `number` its cost or its requests."""

    name: str
    url: str
    number: str
    share: str
    percent: int


class Top(NamedTuple):
    """The largest values of a dimension."""

    title: str
    url: str
    rows: list[TopRow]


def figures_of(request: HttpRequest) -> dict[str, Any]:
    """The context of the template."""
    now = timezone.now()
    period = figures.period_of(request, now)
    selection = Selection(period.window)
    report = overview.overview(selection, now)
    groups = {dimension: breakdowns.by_dimension(selection, dimension) for dimension in TOP_TITLES}
    percentiles = latency.latency(selection) or Latency()
    cards = figures.figures(period, report.totals, report.previous, percentiles)
    return {
        "title": period.title,
        "periods": [(f"?period={name}", title, name == period.name) for name, title in figures.PERIOD_TITLES.items()],
        "cards": [*cards, _forecast(now)],
        "charts": _charts(period, selection) if report.totals.requests else [],
        "tops": [_top(period, dimension, rows) for dimension, rows in groups.items()] if report.totals.requests else [],
        "unpriced": [group for group in groups["model"] if group.totals.unpriced],
    }


def _forecast(now: datetime) -> Figure:
    forecast = overview.forecast(now)
    note = f"{rounded_dollars(forecast.month_to_date)} until now, {rounded_dollars(forecast.per_day)} a day"
    return Figure(f"Expected in {now:%B}", rounded_dollars(forecast.month), note, url=f"{reverse('usage')}?period=30d&by=model")


def _charts(period: Period, selection: Selection) -> list[Chart]:
    axis = period.axis()
    by_bar: dict[int, list[Totals]] = {}
    for (start,), totals in query.sum_by_time(selection, period.resolution).items():
        by_bar.setdefault(axis.bar_of(start), []).append(totals)
    sums = {start: add(parts) for start, parts in by_bar.items()}

    def numbers(number: Callable[[Totals], float]) -> dict[int, float]:
        return {start: number(totals) for start, totals in sums.items()}

    requests = [
        Series("answered", "0", numbers(lambda totals: totals.requests - totals.errors)),
        Series("errors", "error", numbers(lambda totals: totals.errors)),
    ]
    cost = [Series("USD", "1", numbers(lambda totals: float(totals.cost)))]
    tokens = [
        Series("fresh input", "3", numbers(lambda totals: totals.input_tokens + totals.cache_write_tokens)),
        Series("read from cache", "6", numbers(lambda totals: totals.cache_read_tokens)),
        Series("output", "2", numbers(lambda totals: totals.output_tokens)),
    ]
    return [
        charts.stacked("Requests", axis, requests, _count),
        charts.stacked("Cost", axis, cost, lambda number: rounded_dollars(Decimal(str(number)))),
        charts.stacked("Tokens", axis, tokens, _count),
        charts.lines("Latency", axis, _latencies(period, selection), lambda number: f"{number:,.0f} ms"),
    ]


def _latencies(period: Period, selection: Selection) -> list[Series]:
    percentiles = latency.latency_by_time(selection, period.resolution, merged=period.bar)
    shares = (("median", "0", "p50"), ("95 %", "2", "p95"), ("99 %", "error", "p99"))
    latencies = {start: one.latency_ms for start, one in percentiles.items()}
    return [Series(name, colour, {start: getattr(one, share) for start, one in latencies.items()}) for name, colour, share in shares]


def _number(totals: Totals, *, in_dollars: bool) -> str:
    if not in_dollars:
        return f"{totals.requests:,} requests"
    return "unpriced" if totals.unpriced and not totals.cost else rounded_dollars(totals.cost)


def _count(number: float) -> str:
    return f"{number:,.0f}"


def _top(period: Period, dimension: str, groups: Sequence[Group]) -> Top:
    """The dearest values; the most used ones if nothing has cost anything."""
    has_cost = any(group.totals.cost for group in groups)
    size: Callable[[Group], Decimal | int] = (lambda group: group.totals.cost) if has_cost else (lambda group: group.totals.requests)
    whole = sum(size(group) for group in groups)
    rows = [
        TopRow(
            group.name or NO_VALUE[dimension],
            figures.value_url(period, dimension, group.value),
            _number(group.totals, in_dollars=has_cost),
            figures.share(size(group), whole),
            round(100 * float(size(group)) / float(whole)) if whole else 0,
        )
        for group in sorted(groups, key=lambda group: -size(group))[:TOP]
    ]
    return Top(TOP_TITLES[dimension], f"{reverse('usage')}?{urlencode({'period': period.name, 'by': dimension})}", rows)

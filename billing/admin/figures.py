"""What the start page and the page "Usage" share: periods, figures with the change since the period before, links to the log."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from billing.admin.charts import Axis
from billing.admin.formatting import NONE, dollars, rounded_dollars
from billing.reports import windows
from billing.reports.latency import Latency
from billing.reports.totals import Totals
from billing.reports.windows import Window
from billing.rollups.accumulate import DAY, HOUR

PERIOD_TITLES: Mapping[str, str] = {"24h": "24 hours", "7d": "7 days", "30d": "30 days"}
BUCKETS: Mapping[str, int] = {"24h": HOUR, "7d": 6 * HOUR, "30d": DAY}
"""The width of a bar in seconds, by period."""
LOG_FILTERS: Mapping[str, str] = {
    "key": "key",
    "upstream": "upstream",
    "model": "counted_model__exact",
    "owner": "owner__exact",
    "dialect": "dialect__exact",
    "status": "status_code__exact",
    "outcome": "outcome__exact",
    "error": "error_type__exact",
    "session": "session_id__exact",
}
"""The parameter of the log's list by which it shows one value of a dimension."""


class Period(NamedTuple):
    """A period that ends now: its name, its window, the resolution of its rollups and the width of its bars in seconds."""

    name: str
    window: Window
    resolution: int
    bar: int
    now: datetime

    @property
    def title(self) -> str:
        """For people."""
        return f"last {PERIOD_TITLES[self.name]}"

    def axis(self, **filters: Any) -> Axis:
        """The bars of a chart, which lead to the requests of their time that match filters of the log."""
        first = self.window.begin - self.window.begin % self.bar
        return Axis(range(first, int(self.now.timestamp()) + 1, self.bar), self.bar, lambda start: time_url(start, self.bar, **filters))


class Figure(NamedTuple):
    """A card: a title, a number, a note, its change since the period before (`+12 %`, empty if unknown), and where it leads."""

    title: str
    value: str
    note: str = ""
    change: str = ""
    url: str = ""
    exactly: str = ""
    is_bad: bool = False


def period_of(request: HttpRequest, now: datetime) -> Period:
    """The period that a page's address names; 24 hours if it names none."""
    name = request.GET.get("period", "")
    name = name if name in windows.PERIODS else windows.DEFAULT_PERIOD
    return Period(name, windows.last(windows.PERIODS[name], now), DAY if name == "30d" else HOUR, BUCKETS[name], now)


def log_url(period: Period, **filters: Any) -> str:
    """The log's list with the requests of a period."""
    return f"{reverse('admin:billing_requestlog_changelist')}?{urlencode({'period': period.name, **filters})}"


def time_url(start: int, seconds: int, **filters: Any) -> str:
    """The log's list with the requests of one bucket."""
    begin, end = (datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ") for moment in (start, start + seconds))
    return f"{reverse('admin:billing_requestlog_changelist')}?{urlencode({'timestamp__gte': begin, 'timestamp__lt': end, **filters})}"


def value_url(period: Period, dimension: str, value: Any) -> str:
    """The log's list with the requests of one value of a dimension; empty if the log cannot be filtered by it."""
    parameter = LOG_FILTERS.get(dimension)
    if parameter is None or value in (None, ""):
        return ""
    return log_url(period, **{parameter: value})


def change(now: float | Decimal, before: float | Decimal) -> str:
    """How a number has changed; empty if there was none before."""
    if not before:
        return ""
    percent = round(100 * (float(now) / float(before) - 1))
    return f"{percent:+,} %"


def share(part: float | Decimal, whole: float | Decimal) -> str:
    """A share in percent."""
    return f"{100 * float(part) / float(whole):.1f} %" if whole else NONE


def cost_note(totals: Totals) -> str:
    """What the cost leaves out, and what it estimates."""
    notes = [f"without {totals.unpriced:,} unpriced requests ({share(totals.unpriced, totals.requests)})"] if totals.unpriced else []
    if totals.estimated:
        notes.append(f"{share(totals.estimated, totals.requests)} with estimated tokens")
    return ", ".join(notes)


def figures(period: Period, totals: Totals, before: Totals, latency: Latency) -> list[Figure]:
    """The cards of a period."""
    tokens_in, tokens_before = (one.tokens - one.output_tokens for one in (totals, before))
    return [
        Figure("Requests", f"{totals.requests:,}", "", change(totals.requests, before.requests), log_url(period)),
        Figure(
            "Errors",
            f"{totals.errors:,}",
            share(totals.errors, totals.requests) + " of all requests",
            change(totals.errors, before.errors),
            log_url(period, status_code__gte=400),
            is_bad=totals.error_rate > 0.05,
        ),
        Figure(
            "Cost",
            rounded_dollars(totals.cost) if totals.cost or not totals.unpriced else "unknown",
            cost_note(totals),
            change(totals.cost, before.cost),
            log_url(period, cost__gt=0),
            exactly=dollars(totals.cost),
        ),
        Figure("Input tokens", f"{tokens_in:,}", "cached ones included", change(tokens_in, tokens_before)),
        Figure("Output tokens", f"{totals.output_tokens:,}", "", change(totals.output_tokens, before.output_tokens)),
        Figure(
            "Cache hits",
            f"{100 * totals.cache_hit_rate:.1f} %",
            f"{totals.cache_read_tokens:,} tokens, {rounded_dollars(totals.saved)} saved",
            url=log_url(period, cache_read_tokens__gt=0),
        ),
        Figure(
            "Latency, median",
            f"{latency.latency_ms.p50:,} ms",
            f"95 %: {latency.latency_ms.p95:,} ms; first token {latency.ttft_ms.p50:,} ms",
            change(totals.avg_latency_ms, before.avg_latency_ms),
        ),
        Figure("pxbin overhead, median", f"{latency.overhead_us.p50 / 1000:,.2f} ms", f"95 %: {latency.overhead_us.p95 / 1000:,.2f} ms"),
    ]

"""What was used in a period, compared with the period before; and what the month will cost."""

from __future__ import annotations

import calendar
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec

from billing.money import from_pico, to_pico
from billing.reports import query, windows
from billing.reports.query import Selection
from billing.reports.totals import Totals

FORECAST_DAYS = 7


class Overview(msgspec.Struct, kw_only=True):
    """The totals of a window, and of the window of the same length before it."""

    totals: Totals
    previous: Totals


class Forecast(msgspec.Struct, frozen=True, kw_only=True):
    """USD of the present month in UTC: until now, a day on average of the last seven, and expected until its end."""

    month_to_date: Decimal
    per_day: Decimal
    month: Decimal


def overview(selection: Selection, now: datetime) -> Overview:
    """The totals of a selection, and what they were before."""
    before = Selection(windows.preceding(selection.window, now), selection.values)
    return Overview(totals=query.sum_up(selection), previous=query.sum_up(before))


def forecast(now: datetime, values: Mapping[str, Sequence[Any]] | None = None) -> Forecast:
    """The cost of the month, if the remaining days cost what the last seven days cost on average."""
    spent = query.sum_up(Selection(windows.month(now), values or {})).cost
    recent = query.sum_up(Selection(windows.last(timedelta(days=FORECAST_DAYS), now), values or {})).cost
    per_day = recent / FORECAST_DAYS
    _, days = calendar.monthrange(now.year, now.month)
    end = now.replace(day=1, hour=0, minute=0, second=0, microsecond=0) + timedelta(days=days)
    remaining = Decimal((end - now) // timedelta(seconds=1)) / Decimal(86_400)
    return Forecast(month_to_date=spent, per_day=_rounded(per_day), month=_rounded(spent + per_day * remaining))


def _rounded(amount: Decimal) -> Decimal:
    return from_pico(to_pico(amount))

"""The periods of budgets: days, weeks from Monday and months in UTC, or all time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from accounts.budget_entries import BudgetEntry


class Span(NamedTuple):
    """From ``start`` to just before ``end``, in Unix seconds; all time is from 0 to infinity."""

    start: float
    end: float


class Settled(NamedTuple):
    """The cost of a request that has ended, as its log row has it. ``timestamp``: its beginning, in Unix seconds."""

    key_id: str | None
    owner: str
    timestamp: float
    cost: int


class BudgetWindow(NamedTuple):
    """A budget in one of its periods. ``state``: the name of what was spent and reserved of it."""

    budget: BudgetEntry
    span: Span
    state: str

    def counts(self, request: Settled) -> bool:
        """Whether the budget counts a request in this period."""
        return self.span.start <= request.timestamp < self.span.end and self.budget.counts(request.key_id, request.owner)

    @property
    def resets_at(self) -> str:
        """The end in RFC 3339; ``never`` for a budget for ever."""
        return "never" if math.isinf(self.span.end) else datetime.fromtimestamp(self.span.end, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def span_of(period: str, moment: float) -> Span:
    """The period that holds a moment (Unix seconds)."""
    if period == "total":
        return Span(0.0, math.inf)
    day = datetime.fromtimestamp(moment, UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "daily":
        start, end = day, day + timedelta(days=1)
    elif period == "weekly":
        start = day - timedelta(days=day.weekday())
        end = start + timedelta(days=7)
    else:
        start = day.replace(day=1)
        end = (start + timedelta(days=31)).replace(day=1)
    return Span(start.timestamp(), end.timestamp())


def window_of(budget: BudgetEntry, moment: float) -> BudgetWindow:
    """The period of a budget that holds a moment (Unix seconds)."""
    span = span_of(budget.period, moment)
    return BudgetWindow(budget, span, f"{budget.state}:{int(span.start)}")


class Windows:
    """The current periods of budgets, computed again only when one has ended."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self._clock = clock
        self._until = -math.inf
        self._by_budgets: dict[tuple[BudgetEntry, ...], tuple[BudgetWindow, ...]] = {}

    def current(self, budgets: tuple[BudgetEntry, ...]) -> tuple[BudgetWindow, ...]:
        """The periods of these budgets that hold the present moment."""
        moment = self._clock()
        if moment >= self._until or len(self._by_budgets) > 10_000:
            self._until = span_of("daily", moment).end
            self._by_budgets.clear()
        windows = self._by_budgets.get(budgets)
        if windows is None:
            windows = self._by_budgets[budgets] = tuple(window_of(budget, moment) for budget in budgets)
        return windows

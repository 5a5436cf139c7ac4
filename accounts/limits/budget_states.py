"""The states of budgets for pages and APIs, from the ledger."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import NamedTuple

from accounts import budget_entries
from accounts.budget_entries import PICO, BudgetEntry
from accounts.keys import Key, budgets_of
from accounts.limits import ledger
from accounts.limits.windows import window_of
from accounts.models import Budget, Pool


class BudgetState(NamedTuple):
    """A budget in its present period, which began at ``started_at`` and ends at ``resets_at`` (``None``: never).

    ``spent``: USD of the requests that have ended. ``over``: how many requests a soft budget admitted without room for them.
    """

    spent: Decimal
    started_at: datetime | None
    resets_at: datetime | None
    over: int = 0


class BudgetLeft(NamedTuple):
    """A budget as the holder of a key sees it: USD, and when the period ends (``None``: never)."""

    name: str
    scope: str
    period: str
    mode: str
    amount: Decimal
    spent: Decimal
    left: Decimal
    resets_at: datetime | None


def budgets_left(key: Key) -> list[BudgetLeft]:
    """What is left of every budget that counts the requests of a key, its own first. Reads the ledger; call it in a thread.

    The limits by the minute are fields of the key itself.
    """
    budgets = budgets_of(key)
    return [
        BudgetLeft(
            name=budget.name,
            scope=budget.scope,
            period=budget.period,
            mode="hard" if budget.is_hard else "soft",
            amount=dollars(budget.amount),
            spent=state.spent,
            left=max(Decimal(0), dollars(budget.amount) - state.spent),
            resets_at=state.resets_at,
        )
        for budget, state in zip(budgets, states_of_entries(budgets), strict=True)
    ]


def dollars(pico: int) -> Decimal:
    """Pico-dollars as USD."""
    return Decimal(pico).scaleb(-PICO)


def state_of(row: Budget) -> BudgetState:
    """The state of one budget. Reads the ledger."""
    return states_of([row])[0]


def states_of(rows: Sequence[Budget]) -> list[BudgetState]:
    """The states of budgets. Reads the ledger once."""
    return states_of_entries(budget_entries.entry_of(row, map(str, _members(row.pool)) if row.pool is not None else ()) for row in rows)


def states_of_entries(entries: Iterable[BudgetEntry]) -> list[BudgetState]:
    """The same for budgets in memory."""
    now = time.time()
    windows = [window_of(entry, now) for entry in entries]
    if not windows:
        return []
    spent, _ = ledger.current()(windows, dict)
    over = ledger.over_budget(windows)
    return [
        BudgetState(dollars(pico), _moment(window.span.start or math.inf), _moment(window.span.end), number)
        for pico, window, number in zip(spent, windows, over, strict=True)
    ]


def _members(pool: Pool) -> list[object]:
    return list(pool.keys.values_list("pk", flat=True))


def _moment(seconds: float) -> datetime | None:
    return None if math.isinf(seconds) else datetime.fromtimestamp(seconds, UTC)

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
from accounts.limits import ledger
from accounts.limits.windows import window_of
from accounts.models import Budget, Pool


class BudgetState(NamedTuple):
    """``spent``: USD of requests that have ended in the present period, which began at ``started_at`` and ends at ``resets_at``."""

    spent: Decimal
    started_at: datetime | None
    resets_at: datetime | None


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
    spent, _ = ledger.current()(windows, dict) if windows else ([], ())
    return [
        BudgetState(Decimal(pico).scaleb(-PICO), _moment(window.span.start or math.inf), _moment(window.span.end))
        for pico, window in zip(spent, windows, strict=True)
    ]


def _members(pool: Pool) -> list[object]:
    return list(pool.keys.values_list("pk", flat=True))


def _moment(seconds: float) -> datetime | None:
    return None if math.isinf(seconds) else datetime.fromtimestamp(seconds, UTC)

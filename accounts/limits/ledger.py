"""What the ledger says was spent in a period of a budget. The ledger itself is billing's and is passed in when Django starts."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol

from django.db import connection

from accounts.limits.windows import BudgetWindow, Settled


class Ledger(Protocol):
    """Sums of the costs of requests."""

    def __call__(self, windows: Sequence[BudgetWindow], captured: Callable[[], Mapping[str, Settled]]) -> tuple[list[int], Collection[str]]:
        """What was spent in each period, in pico-dollars, and the ids of the captured requests that were considered.

        ``captured``: the costs of requests that ended since before the call, by the ids of their log rows; called once the sums are
        fixed. Each request counts once, whether it is in the database, in the spool, captured, or in several of them. Blocks; raises
        the errors of the database.
        """
        ...


Unwritten = Callable[[], Mapping[str, Settled]]
"""The costs of the requests on this machine that may not be in the database yet, by the ids of their log rows."""
OverBudgets = Callable[[Sequence[BudgetWindow]], list[int]]
"""How many requests of each period, according to the database, a soft budget admitted without room for them."""
_ledger: Ledger | None = None
_unwritten: Unwritten | None = None
_over: OverBudgets | None = None


def set_ledger(source: Ledger, unwritten_requests: Unwritten, over: OverBudgets) -> None:
    """Set the ledger of this process."""
    global _ledger, _unwritten, _over
    _ledger, _unwritten, _over = source, unwritten_requests, over


def over_budget(windows: Sequence[BudgetWindow]) -> list[int]:
    """See :data:`OverBudgets`. Raises RuntimeError before :func:`set_ledger`."""
    if _over is None:
        raise RuntimeError("The ledger was not set.")
    return _over(windows)


def unwritten() -> Unwritten:
    """The source of requests that are not in the database. Raises RuntimeError before :func:`set_ledger`."""
    if _unwritten is None:
        raise RuntimeError("The ledger was not set.")
    return _unwritten


def current() -> Ledger:
    """The ledger of this process. Raises RuntimeError before :func:`set_ledger`."""
    if _ledger is None:
        raise RuntimeError("The ledger was not set.")
    return _ledger


async def read(
    source: Ledger | None, windows: Sequence[BudgetWindow], captured: Callable[[], Mapping[str, Settled]]
) -> tuple[list[int], Collection[str]]:
    """Call the ledger in a thread, which does not keep its connection; ``source``: by default that of this process."""
    read_spent = source or current()

    def read_and_close() -> tuple[list[int], Collection[str]]:
        try:
            return read_spent(windows, captured)
        finally:
            connection.close()

    return await asyncio.to_thread(read_and_close)

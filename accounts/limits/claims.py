"""What a request claims of its key's limits and budgets, and what the counts answer."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import msgspec

from accounts.keys import Key
from accounts.limits.windows import BudgetWindow


class Claim(msgspec.Struct, frozen=True, kw_only=True):
    """One request. ``id``: that of its log row. ``timestamp``: now, in Unix seconds. ``tokens``: its estimated input.

    ``cost``: the most that it is expected to cost, in pico-dollars; ``None``: it has no price. ``windows``: the present periods of the
    budgets that count it.
    """

    id: str
    timestamp: float
    key: Key
    tokens: int = 0
    cost: int | None = 0
    windows: tuple[BudgetWindow, ...] = ()


class Levels(NamedTuple):
    """What a key has left after a claim: requests and tokens of the minute; ``None`` where it has no limit.

    ``is_over``: a soft budget had no room for it.
    """

    requests: float | None = None
    tokens: float | None = None
    is_over: bool = False


class OverLimit(Exception):  # noqa: N818  (the name says what happened)
    """A claim exceeds a limit. ``limit``: ``concurrency``, ``requests`` or ``tokens``. ``wait``: seconds until there is room."""

    def __init__(self, limit: str, wait: float, levels: Levels) -> None:
        super().__init__(limit)
        self.limit = limit
        self.wait = wait
        self.levels = levels


class OverBudget(Exception):  # noqa: N818
    """A claim does not fit a hard budget."""

    def __init__(self, window: BudgetWindow) -> None:
        super().__init__(window.state)
        self.window = window


class UnknownSpend(Exception):  # noqa: N818
    """What was spent of hard budgets is not known: the counts have to be rebuilt from the ledger."""

    def __init__(self, windows: list[BudgetWindow]) -> None:
        super().__init__(", ".join(window.state for window in windows))
        self.windows = windows


class CountsUnavailable(Exception):  # noqa: N818
    """The counts cannot be reached, or not be rebuilt in time."""


class Counts(Protocol):
    """The counts of all keys and budgets: in this process, or in Redis."""

    async def reserve(self, claim: Claim) -> Levels:
        """Charge a claim to every limit and budget, or to none.

        Raises :class:`OverLimit`, :class:`OverBudget`, :class:`UnknownSpend` and :class:`CountsUnavailable`.
        """
        ...

    def settle(self, claim: Claim, *, tokens: int, cost: int) -> None:
        """Replace the charge of an admitted claim by the tokens that were used and by the true cost, in pico-dollars."""
        ...

    async def rebuild(self, windows: list[BudgetWindow]) -> None:
        """Compute what was spent in these periods from the ledger. Raises :class:`CountsUnavailable`."""
        ...

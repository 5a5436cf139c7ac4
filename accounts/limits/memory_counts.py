"""The counts of limits and budgets in the memory of the only web process."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence

from accounts.limits import ledger
from accounts.limits.buckets import Bucket, Buckets, Clock
from accounts.limits.claims import Claim, CountsUnavailable, Levels, OverBudget, OverLimit, UnknownSpend
from accounts.limits.windows import BudgetWindow, Settled

logger = logging.getLogger("pxbin.limits")

RESYNC_SECONDS = 30.0
"""Between two readings of the ledger: requests may have been rated again, or have been under way when a budget was made."""
NO_LEVELS = Levels()


class BudgetCount:
    """What was spent and is reserved of a budget in one period, in pico-dollars. ``spent``: ``None`` until the ledger was read."""

    __slots__ = ("reserved", "spent", "window")

    def __init__(self, window: BudgetWindow) -> None:
        self.window = window
        self.spent: int | None = None
        self.reserved = 0


class MemoryCounts:
    """A twin of :class:`~accounts.limits.redis_counts.RedisCounts`. Only the event loop calls it."""

    def __init__(self, clock: Clock = time.monotonic, read_ledger: ledger.Ledger | None = None) -> None:
        self._clock = clock
        self._ledger = read_ledger
        self._requests = Buckets(clock())
        self._tokens = Buckets(clock())
        self.running: dict[str, int] = {}
        """The running requests by key, of keys with limits."""
        self.budgets: dict[str, BudgetCount] = {}
        """By the name of the period's state."""
        self._captures: list[dict[str, Settled]] = []
        self._rebuilding: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to read the ledger again now and then. Needs a running event loop."""
        self._task = asyncio.create_task(repeat(self.resynchronise))

    async def stop(self) -> None:
        """End that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def reserve(self, claim: Claim) -> Levels:
        """See :class:`~accounts.limits.claims.Counts`."""
        key, now = claim.key, self._clock()
        running = self.running.get(key.id, 0)
        requests = None if key.rate_limit is None else self._requests.of(key.id, key.rate_limit, now)
        tokens = None if key.token_limit is None else self._tokens.of(key.id, key.token_limit, now)
        needed = 0 if tokens is None else reserved_tokens(claim)
        levels = NO_LEVELS
        if requests is not None or tokens is not None:
            levels = _levels(requests, tokens, now)
        if key.concurrency_limit is not None and running >= key.concurrency_limit:
            raise OverLimit("concurrency", 1.0, levels)
        if requests is not None and (wait := requests.seconds_until(1.0, now)):
            raise OverLimit("requests", wait, levels)
        if tokens is not None and (wait := tokens.seconds_until(needed, now)):
            raise OverLimit("tokens", wait, levels)
        counts, is_over = self._admitting(claim) if claim.windows else ((), False)
        if requests is not None:
            requests.take(1.0)
        if tokens is not None:
            tokens.take(needed)
        for count in counts:
            count.reserved += claim.cost or 0
        self.running[key.id] = running + 1
        return NO_LEVELS if levels is NO_LEVELS and not is_over else _levels(requests, tokens, now, is_over=is_over)

    def _admitting(self, claim: Claim) -> tuple[Sequence[BudgetCount], bool]:
        """The counts of the budgets of a claim, if all hard ones have room for it, and whether a soft one has not."""
        counts = [self._count_of(window) for window in claim.windows]
        if unknown := [count.window for count in counts if count.spent is None]:
            hard = [window for window in unknown if window.budget.is_hard]
            if hard:
                raise UnknownSpend(unknown)
            for window in unknown:
                self._start_rebuild(window)
        is_over = False
        for count in counts:
            budget = count.window.budget
            if not has_room(budget.amount, (count.spent or 0) + count.reserved, claim.cost):
                if budget.is_hard:
                    raise OverBudget(count.window)
                is_over = True
        return counts, is_over

    def _count_of(self, window: BudgetWindow) -> BudgetCount:
        count = self.budgets.get(window.state)
        if count is None:
            count = self.budgets[window.state] = BudgetCount(window)
        else:
            count.window = window  # the amount may have changed
        return count

    def settle(self, claim: Claim, *, tokens: int, cost: int) -> None:
        """See :class:`~accounts.limits.claims.Counts`."""
        key = claim.key
        running = self.running.get(key.id, 0) - 1
        if running > 0:
            self.running[key.id] = running
        else:
            self.running.pop(key.id, None)
        if key.token_limit is not None:
            self._tokens.of(key.id, key.token_limit, self._clock()).take(tokens - reserved_tokens(claim))
        for window in claim.windows:
            count = self._count_of(window)
            count.reserved -= claim.cost or 0
            if count.spent is not None:
                count.spent += cost
        for captured in self._captures:
            captured[claim.id] = Settled(key.id, key.owner, claim.timestamp, cost)

    # --- what was spent --------------------------------------------------------------------------------------------------

    async def rebuild(self, windows: list[BudgetWindow]) -> None:
        """See :class:`~accounts.limits.claims.Counts`. Requests that need the same period share one reading of the ledger."""
        tasks = [self._start_rebuild(window) for window in windows]
        await asyncio.wait(tasks)  # a request that waits no longer must not cancel it for the others
        for task in tasks:
            if (error := task.exception()) is not None:
                raise CountsUnavailable(str(error)) from error

    def _start_rebuild(self, window: BudgetWindow) -> asyncio.Task[None]:
        task = self._rebuilding.get(window.state)
        if task is None:
            task = self._rebuilding[window.state] = asyncio.create_task(self._rebuild(window))
            task.add_done_callback(lambda task: self._end_rebuild(window, task))
        return task

    def _end_rebuild(self, window: BudgetWindow, task: asyncio.Task[None]) -> None:
        self._rebuilding.pop(window.state, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            logger.warning("what was spent of the budget of %s cannot be read: %s", window.budget.name, " ".join(str(error).split()))

    async def _rebuild(self, window: BudgetWindow) -> None:
        """Requests may end meanwhile: they are captured, so that each is counted once, from the ledger or from here."""
        captured: dict[str, Settled] = {}
        self._captures.append(captured)
        try:
            spent, counted = await ledger.read(self._ledger, [window], lambda: dict(captured))
        finally:
            self._captures = [other for other in self._captures if other is not captured]
        late = sum(request.cost for log_id, request in captured.items() if log_id not in counted and window.counts(request))
        self._count_of(window).spent = spent[0] + late

    async def resynchronise(self) -> None:
        """Read the ledger again for every budget in use: it may have been rated again. Drops the counts of periods that have ended."""
        now = time.time()
        for state, count in list(self.budgets.items()):
            if count.window.span.end + 3600 < now and not count.reserved:
                del self.budgets[state]
            elif count.spent is not None:
                await asyncio.wait([self._start_rebuild(count.window)])


async def repeat(resynchronise: Callable[[], Awaitable[None]]) -> None:
    """Read the ledger again every :data:`RESYNC_SECONDS`."""
    while True:
        await asyncio.sleep(RESYNC_SECONDS)
        await resynchronise()


def _levels(requests: Bucket | None, tokens: Bucket | None, now: float, *, is_over: bool = False) -> Levels:
    return Levels(None if requests is None else requests.level(now), None if tokens is None else tokens.level(now), is_over)


def reserved_tokens(claim: Claim) -> int:
    """The tokens that a claim reserves: its input, but not more than a whole minute has, which no request could reserve."""
    limit = claim.key.token_limit
    return 0 if limit is None else min(max(claim.tokens, 1), limit)


def has_room(amount: int, used: int, cost: int | None) -> bool:
    """Whether a reservation fits a hard budget. One that is exactly used up admits nothing, not even what is free."""
    return cost is not None and used < amount and used + cost <= amount

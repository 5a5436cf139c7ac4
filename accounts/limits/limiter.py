"""Whether a key may have one more request: its limits and its budgets, checked together and charged together.

The counts are in this process (:mod:`accounts.limits.memory_counts`) or shared through Redis
(:mod:`accounts.limits.redis_counts`). All limits are checked before any is charged, so a refused request is not charged. A key
without limits and budgets costs a look at one field.
"""

from __future__ import annotations

import asyncio
import math
import time

from accounts.keys import Key, budgets_of
from accounts.limits.buckets import Buckets, Clock
from accounts.limits.claims import Claim, Counts, CountsUnavailable, Levels, OverBudget, OverLimit, UnknownSpend
from accounts.limits.memory_counts import MemoryCounts
from accounts.limits.windows import BudgetWindow, Windows
from proxy.translation.errors import NO_RETRY, ClientMistake, Failure, GatewayError

REBUILD_SECONDS = 5.0
"""How long a request waits until what was spent of its hard budgets is known."""
BUDGET_HEADER, RESET_HEADER = "x-pxbin-budget", "x-pxbin-budget-reset"
UNAVAILABLE = Failure(
    kind="overloaded", message="What was spent of this key's budget is not known at the moment", headers={"retry-after": "5"}
)


class Lease:
    """The permission to serve one request. Release it when the request ends; a second release does nothing.

    ``levels``: what the key has left of its limits by the minute.
    """

    __slots__ = ("_claim", "_counts", "key", "levels")

    def __init__(self, counts: Counts | None, claim: Claim | None, levels: Levels, key: Key | None = None) -> None:
        self._counts = counts
        self._claim = claim
        self.levels = levels
        self.key = key

    def release(self, *, tokens: int = 0, cost: int = 0) -> None:
        """End the request and charge its ``tokens`` (input and output) and its ``cost`` (pico-dollars)."""
        counts, self._counts = self._counts, None
        if counts is not None and self._claim is not None:
            counts.settle(self._claim, tokens=tokens, cost=cost)


UNLIMITED = Lease(None, None, Levels())


class Limiter:
    """The limits and budgets of all keys.

    ``rps``: requests per second of each key in this process, besides the key's own limits; 0 is no limit. ``burst``: how many may
    come at once after a pause; 0 is twice the rate.
    """

    def __init__(self, counts: Counts, *, clock: Clock = time.monotonic, rps: float = 0.0, burst: int = 0) -> None:
        self.counts = counts
        self._clock = clock
        self.rps = rps
        self._burst = burst or max(1, math.ceil(2 * rps))
        self._per_second = Buckets(clock(), rate=rps)
        self._windows = Windows()

    def applies_to(self, key: Key) -> bool:
        """Whether a request of a key has to be counted. Most have not."""
        return key.is_limited or bool(self.rps) or (not key.id and bool(budgets_of(key)))

    async def acquire(self, key: Key, claim_id: str, *, tokens: int = 0, cost: int | None = 0) -> Lease:
        """A lease for one request, of which ``tokens`` and ``cost`` are expected (see :class:`Claim`).

        Raises :class:`~proxy.translation.errors.ClientMistake` of kind ``rate_limit`` with ``retry-after`` or of kind ``budget``, and
        :class:`~proxy.translation.errors.GatewayError` of kind ``overloaded`` if what was spent is not known in time.
        """
        now = self._clock()
        per_second = self._per_second.of(key.id, self._burst, now) if self.rps and key.id else None  # anonymous requests would share one
        if per_second is not None and (wait := per_second.seconds_until(1.0, now)):
            raise _limit_refusal(f"A key may send {self.rps:g} requests per second here", wait)
        levels = Levels()
        claim = None
        budgets = budgets_of(key)
        if key.is_limited or budgets:
            windows = self._windows.current(budgets) if budgets else ()
            claim = Claim(id=claim_id, timestamp=time.time(), key=key, tokens=tokens, cost=cost, windows=windows)
            levels = await self._reserve(claim)
        if per_second is not None:
            per_second.take(1.0)
        return Lease(self.counts if claim is not None else None, claim, levels, key)

    async def _reserve(self, claim: Claim) -> Levels:
        deadline = 0.0
        while True:
            try:
                return await self.counts.reserve(claim)
            except OverLimit as over:
                raise _limit_refusal(_limit_message(claim.key, over.limit), over.wait, over, claim.key) from None
            except OverBudget as over:
                raise _budget_refusal(over.window, claim) from None
            except UnknownSpend as unknown:
                now = time.monotonic()
                deadline = deadline or now + REBUILD_SECONDS
                await self._rebuild(unknown.windows, deadline - now)
            except CountsUnavailable:
                raise GatewayError(UNAVAILABLE) from None

    async def _rebuild(self, windows: list[BudgetWindow], seconds: float) -> None:
        try:
            await asyncio.wait_for(self.counts.rebuild(windows), max(0.0, seconds))
        except (TimeoutError, CountsUnavailable):
            raise GatewayError(UNAVAILABLE) from None


def _limit_message(key: Key, limit: str) -> str:
    return {
        "concurrency": f"This key may have {key.concurrency_limit} requests running at once",
        "requests": f"This key may send {key.rate_limit} requests per minute",
        "tokens": f"This key may use {key.token_limit} tokens per minute",
    }[limit]


def _limit_refusal(message: str, wait: float, over: OverLimit | None = None, key: Key | None = None) -> RateLimited:
    return RateLimited(message, wait, over.levels if over is not None else Levels(), key)


class RateLimited(ClientMistake):
    """A request beyond a limit of its key. ``levels``: what is left of the limits by the minute."""

    def __init__(self, message: str, wait: float, levels: Levels, key: Key | None) -> None:
        super().__init__(message, kind="rate_limit", headers={"retry-after": str(max(1, math.ceil(wait)))})
        self.levels = levels
        self.key = key


def _budget_refusal(window: BudgetWindow, claim: Claim) -> ClientMistake:
    budget = window.budget
    if claim.cost is None:
        message = f"The model has no price, and the budget of {budget.name} admits only requests whose cost can be estimated"
    elif window.resets_at == "never":
        message = f"The budget of {budget.name} is used up, or has no room for this request; it does not reset"
    else:
        when = f"it resets at {window.resets_at}"
        message = f"The {budget.period} budget of {budget.name} is used up, or has no room for this request; {when}"
    headers = {BUDGET_HEADER: f"{budget.name}, {budget.period}".encode("ascii", "replace").decode(), RESET_HEADER: window.resets_at}
    return ClientMistake(message, kind="budget", headers=NO_RETRY | headers)


_limiter = Limiter(MemoryCounts())


def start(limiter: Limiter) -> None:
    """Make ``limiter`` the limiter of this process."""
    global _limiter  # noqa: PLW0603  (one for each process, set where the process is wired)
    _limiter = limiter


def current() -> Limiter:
    """The limiter of this process."""
    return _limiter

"""Leases of limits and budgets, taken without an event loop: the counts in memory never wait unless the ledger has to be read."""

from itertools import count
from typing import Any

from accounts.keys import Key
from accounts.limits.limiter import Lease, Limiter

_numbers = count(1)


def finished(coroutine: Any) -> Any:
    """The result of a coroutine that does not wait."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return end.value
    coroutine.close()
    raise AssertionError("It waits.")


def lease(limiter: Limiter, key: Key, *, tokens: int = 1, cost: int | None = 0) -> Lease:
    """A lease for one request of a key."""
    if not limiter.applies_to(key):
        raise AssertionError("The key has no limits.")
    return finished(limiter.acquire(key, f"request {next(_numbers)}", tokens=tokens, cost=cost))

import asyncio
from itertools import count

import pytest

from accounts.budget_entries import BudgetEntry
from accounts.keys import Key
from accounts.limits.limiter import Limiter
from accounts.limits.memory_counts import MemoryCounts, has_room
from proxy.translation.errors import ClientMistake, GatewayError


def budget(amount, **fields):
    usual = {"id": "b", "scope": "key", "name": "key k", "period": "total", "is_hard": True, "state": "b:total", "key_ids": ("k",)}
    return BudgetEntry(amount=amount, **{**usual, **fields})


def limiter_of(ledger):
    return Limiter(MemoryCounts(read_ledger=ledger))


def spent(*amounts):
    """A ledger in which so much was spent of each budget."""
    return lambda windows, captured: ([amounts[index] for index in range(len(windows))], captured().keys())


async def statuses(limiter, key, *costs):
    """What becomes of claims of these costs: ``None`` if admitted."""
    numbers = count()

    async def status(cost):
        try:
            await limiter.acquire(key, f"{next(numbers)}", cost=cost)
        except ClientMistake as mistake:
            return mistake.failure.kind
        return None

    return await asyncio.gather(*map(status, costs))


@pytest.mark.parametrize(
    ("used", "cost", "expected"),
    [(0, 10, True), (0, 11, False), (3, 7, True), (10, 0, False), (9, 1, True), (0, None, False), (11, 0, False)],
)
def test_a_reservation_fits_exactly_and_a_used_up_budget_admits_nothing(used, cost, expected):
    assert has_room(10, used, cost) is expected


async def test_requests_wait_together_for_one_reading_of_the_ledger():
    readings = []

    def ledger(windows, captured):
        readings.append(windows)
        return [4], captured().keys()

    key = Key(id="k", budgets=(budget(10),))
    assert await statuses(limiter_of(ledger), key, *[2] * 6) == [None] * 3 + ["budget"] * 3
    assert len(readings) == 1


async def test_a_request_that_ends_replaces_its_reservation_by_its_cost():
    limiter, key = limiter_of(spent(0)), Key(id="k", budgets=(budget(10),))
    lease = await limiter.acquire(key, "1", cost=10)
    assert await statuses(limiter, key, 1) == ["budget"]
    lease.release(cost=4)
    lease.release(cost=4)
    assert await statuses(limiter, key, 7, 6, 1) == ["budget", None, "budget"]


async def test_no_budget_is_charged_if_one_refuses():
    key = Key(id="k", budgets=(budget(10), budget(5, id="c", state="c:total")))
    limiter = limiter_of(spent(0))
    assert await statuses(limiter, key, 6, 5) == ["budget", None]
    assert sorted(found.reserved for found in limiter.counts.budgets.values()) == [5, 5]


async def test_a_soft_budget_admits_and_says_that_it_had_no_room():
    limiter, key = limiter_of(spent(0)), Key(id="k", budgets=(budget(5, is_hard=False),))
    leases = [await limiter.acquire(key, str(number), cost=cost) for number, cost in enumerate((5, 1, None))]
    assert [lease.levels.is_over for lease in leases] == [False, True, True]


async def test_a_request_that_ends_while_the_ledger_is_read_counts_once():
    limiter, key = limiter_of(spent(0)), Key(id="k", budgets=(budget(100),))
    leases = [await limiter.acquire(key, name, cost=10) for name in ("written", "late")]
    loop = asyncio.get_running_loop()

    def ledger(windows, captured):
        """Both end during the call; one of them is in the sums already."""
        asyncio.run_coroutine_threadsafe(release(leases[0], 7), loop).result()
        seen = captured()
        asyncio.run_coroutine_threadsafe(release(leases[1], 8), loop).result()
        return [7], seen.keys()

    async def release(lease, cost):
        lease.release(cost=cost)

    limiter.counts._ledger = ledger
    await limiter.counts.resynchronise()
    (found,) = limiter.counts.budgets.values()
    assert (found.spent, found.reserved) == (15, 0)


async def test_a_hard_budget_admits_nothing_while_the_ledger_cannot_be_read(caplog):
    def ledger(windows, captured):
        raise OSError("no database")

    hard, soft = (Key(id="k", budgets=(budget(10, is_hard=is_hard),)) for is_hard in (True, False))
    limiter = limiter_of(ledger)
    with pytest.raises(GatewayError) as caught:
        await limiter.acquire(hard, "1", cost=1)
    assert (caught.value.failure.kind, caught.value.failure.headers) == ("overloaded", {"retry-after": "5"})
    assert await statuses(limiter, soft, 1) == [None]
    assert "what was spent of the budget of key k cannot be read: no database" in caplog.text

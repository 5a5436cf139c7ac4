from datetime import UTC, datetime

import pytest

from accounts.budget_entries import BudgetEntry
from accounts.limits.windows import Settled, Windows, span_of, window_of


def at(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("period", "moment", "start", "end"),
    [
        ("daily", "2026-12-31T23:59:59", "2026-12-31", "2027-01-01"),
        ("weekly", "2026-12-06T23:59:59", "2026-11-30", "2026-12-07"),  # a Sunday
        ("weekly", "2026-12-07T00:00:00", "2026-12-07", "2026-12-14"),  # a Monday
        ("monthly", "2028-02-29T12:00:00", "2028-02-01", "2028-03-01"),
        ("monthly", "2026-12-01T00:00:00", "2026-12-01", "2027-01-01"),
    ],
)
def test_a_period_in_utc(period, moment, start, end):
    assert span_of(period, at(moment)) == (at(start), at(end))


def budget(**fields):
    return BudgetEntry(
        **{"id": "b", "scope": "key", "name": "key k", "amount": 1, "period": "daily", "is_hard": True, "state": "b:daily", **fields}
    )


def test_the_state_of_a_budget_has_another_name_in_the_next_period():
    clock = [at("2026-12-01T23:59:59")]
    windows = Windows(lambda: clock[0])
    budgets = (budget(), budget(id="c", state="c:total", period="total"))
    first = [window.state for window in windows.current(budgets)]
    assert windows.current(budgets) is windows.current(budgets)
    clock[0] += 1
    assert (first, [window.state for window in windows.current(budgets)]) == (
        [f"b:daily:{int(at('2026-12-01'))}", "c:total:0"],
        [f"b:daily:{int(at('2026-12-02'))}", "c:total:0"],
    )
    assert [window.resets_at for window in windows.current(budgets)] == ["2026-12-03T00:00:00Z", "never"]


@pytest.mark.parametrize(
    ("scope", "fields", "counted"),
    [("key", {"key_ids": ("k",)}, [True, False]), ("owner", {"owner": "o"}, [False, True]), ("global", {}, [True, True])],
)
def test_a_window_counts_the_requests_of_its_scope_and_period(scope, fields, counted):
    window = window_of(budget(scope=scope, **fields), at("2026-12-01T12:00:00"))
    inside, outside = at("2026-12-01T00:00:00"), at("2026-12-02T00:00:00")
    assert [window.counts(Settled(key, owner, inside, 1)) for key, owner in (("k", ""), ("x", "o"))] == counted
    assert not any(window.counts(Settled(key, owner, outside, 1)) for key, owner in (("k", "o"), (None, "")))

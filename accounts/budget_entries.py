"""Budgets as requests need them: in memory, by what they count. Part of the cached keys (:mod:`accounts.keys`)."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from decimal import Decimal

import msgspec

from accounts.models import ApiKey, Budget

PICO = 12
"""Decimal places of the amounts in memory: pico-dollars, as in the request log."""


class BudgetEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One budget. ``amount``: pico-dollars. ``name``: what it counts, for messages.

    ``key_ids``: the keys whose costs it counts, for the scopes key and pool. ``owner``: for the scope owner. ``state``: the beginning of
    the name of its counts, which changes with the period and the members of its pool, because these change what was spent.
    """

    id: str
    scope: str
    name: str
    amount: int
    period: str
    is_hard: bool
    state: str
    key_ids: tuple[str, ...] = ()
    owner: str = ""

    def counts(self, key_id: str | None, owner: str) -> bool:
        """Whether it counts the requests of a key."""
        if self.scope == Budget.Scope.GLOBAL:
            return True
        return owner == self.owner if self.scope == Budget.Scope.OWNER else key_id in self.key_ids


class BudgetIndex:
    """All budgets. ``for_all``: those of the scope global."""

    def __init__(self, entries: Iterable[BudgetEntry] = ()) -> None:
        self.entries = tuple(entries)
        self.for_all = tuple(entry for entry in self.entries if entry.scope == Budget.Scope.GLOBAL)
        self._by_key: dict[str, list[BudgetEntry]] = {}
        self._by_owner: dict[str, list[BudgetEntry]] = {}
        for entry in self.entries:
            for key_id in entry.key_ids:
                self._by_key.setdefault(key_id, []).append(entry)
            if entry.owner:
                self._by_owner.setdefault(entry.owner, []).append(entry)

    def of_key(self, key_id: str, owner: str) -> tuple[BudgetEntry, ...]:
        """The budgets that count the requests of a key."""
        if not self.entries:
            return ()
        return (*self._by_key.get(key_id, ()), *self._by_owner.get(owner, ()), *self.for_all)


def load() -> BudgetIndex:
    """The budgets in the database."""
    rows = list(Budget.objects.select_related("key", "owner", "pool"))
    members: dict[object, list[str]] = {}
    if any(row.pool_id for row in rows):
        for pool_id, key_id in ApiKey.pools.through.objects.values_list("pool_id", "apikey_id"):
            members.setdefault(pool_id, []).append(str(key_id))
    return BudgetIndex(entry_of(row, members.get(row.pool_id, ())) for row in rows)


def entry_of(row: Budget, members: Iterable[str] = ()) -> BudgetEntry:
    """The entry of a row; ``members``: the ids of the keys of its pool."""
    key_ids = (str(row.key_id),) if row.scope == Budget.Scope.KEY else tuple(sorted(members))
    version = f":{zlib.crc32(' '.join(key_ids).encode()):08x}" if row.scope == Budget.Scope.POOL else ""
    return BudgetEntry(
        id=str(row.pk),
        scope=row.scope,
        name=row.subject,
        amount=int(Decimal(row.amount_usd).scaleb(PICO)),
        period=row.period,
        is_hard=row.mode == "hard",
        state=f"{row.pk}:{row.period}{version}",
        key_ids=key_ids,
        owner=row.owner.name if row.owner is not None else "",
    )

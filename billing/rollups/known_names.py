"""Names from clients that are values of a dimension: so many new ones a day, so that nobody can make values without end."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any

from django.db import connection, models, transaction
from django.utils import timezone

from billing.rollups.lock import lock

UNKNOWN = "(unknown)"
"""Stands for names of models that match no model."""
OTHER = "(other)"
"""Stands for tags beyond the limit of a day."""
MAX_NEW_NAMES = 1000
"""Names that become values of a dimension on one day (UTC)."""


class KnownNames:
    """The names in a table with the columns `name` and `first_seen`; the process remembers those that it has seen."""

    def __init__(self, table: type[models.Model]) -> None:
        self._rows: models.Manager[Any] = table._default_manager  # noqa: SLF001  (documented by Django)
        self._known: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._known

    def look_up(self, names: Collection[str]) -> set[str]:
        """Those that are values, inside a transaction after whose commit they are remembered."""
        stored = set(self._rows.filter(name__in=names).values_list("name", flat=True)) if names else set()
        transaction.on_commit(lambda: self._known.update(stored))
        return stored

    def add(self, names: Iterable[str], day: date | None = None) -> set[str]:
        """Make names values, the first ones as long as the day allows it, by default today; return these."""
        day = day or timezone.now().date()
        lock(connection)
        allowed = max(MAX_NEW_NAMES - self._rows.filter(first_seen=day).count(), 0)
        added = list(dict.fromkeys(names))[:allowed]
        self._rows.bulk_create([self._rows.model(name=name, first_seen=day) for name in added], ignore_conflicts=True)
        transaction.on_commit(lambda: self._known.update(added))
        return set(added)

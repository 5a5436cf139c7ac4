"""Times of last use: requests note ids in memory, and a periodic task writes them in batches, without bumping a revision."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from accounts.models import Revised

WRITE_SECONDS = 30.0
"""Interval of :meth:`LastUse.write`."""
SHORT_WRITE_SECONDS = 3.0
"""The interval for times that an admin page shows while requests run."""
ROWS_PER_QUERY = 500


class LastUse:
    """The ids of rows of one table that were used since the last :meth:`write`, which sets their ``column``."""

    def __init__(self, table: type[Revised], column: str = "last_used_at") -> None:
        self._table = table
        self._column = column
        self._used: set[str] = set()

    def note(self, row_id: str) -> None:
        """Note that a row is used now. Only adds to a set; may be called from any thread."""
        self._used.add(row_id)

    def write(self) -> None:
        """Write the current time into the noted rows. On a database error, which is raised, the ids are kept for the next call."""
        used, self._used = self._used, set()
        row_ids, now = list(used), timezone.now()
        try:
            for start in range(0, len(row_ids), ROWS_PER_QUERY):
                self._table.objects.filter(pk__in=row_ids[start : start + ROWS_PER_QUERY]).update(**{self._column: now})
        except (DatabaseError, InterfaceError):
            self._used |= used
            raise

"""When keys were last used: noted by requests, written down in batches. It changes nothing that is served, so no reader is told."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from accounts.models import Revised

WRITE_SECONDS = 30.0
"""How often :meth:`LastUse.write` is meant to run."""
ROWS_PER_QUERY = 500


class LastUse:
    """The rows of a table with a column ``last_used_at`` that were used since that was last written."""

    def __init__(self, table: type[Revised]) -> None:
        self._table = table
        self._used: set[str] = set()

    def note(self, identity: str) -> None:
        """A row is used now. Cheap; from any thread."""
        self._used.add(identity)

    def write(self) -> None:
        """Write it down, for :meth:`accounts.revisions.Watcher.every`. What the database does not take is kept for the next time."""
        used, self._used = self._used, set()
        identities, now = list(used), timezone.now()
        try:
            for start in range(0, len(identities), ROWS_PER_QUERY):
                self._table.objects.filter(pk__in=identities[start : start + ROWS_PER_QUERY]).update(last_used_at=now)
        except (DatabaseError, InterfaceError):
            self._used |= used
            raise

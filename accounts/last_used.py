"""When keys and upstreams were last used: noted by requests, written down in batches. It changes nothing that is served."""

from __future__ import annotations

from django.db import DatabaseError, InterfaceError
from django.utils import timezone

from accounts.models import Revised

WRITE_SECONDS = 30.0
"""How often :meth:`LastUse.write` is meant to run."""
NEWS_SECONDS = 3.0
"""The same where a person waits to see it."""
ROWS_PER_QUERY = 500


class LastUse:
    """The rows of a table that were used since that was last written into their ``column``."""

    def __init__(self, table: type[Revised], column: str = "last_used_at") -> None:
        self._table = table
        self._column = column
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
                self._table.objects.filter(pk__in=identities[start : start + ROWS_PER_QUERY]).update(**{self._column: now})
        except (DatabaseError, InterfaceError):
            self._used |= used
            raise

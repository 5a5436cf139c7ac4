"""The lock of the rollups: one transaction at a time changes them."""

from __future__ import annotations

from django.db.backends.base.base import BaseDatabaseWrapper

NUMBER = 0x7078_6269_6E01
"""The number of the advisory lock."""


def lock(connection: BaseDatabaseWrapper) -> None:
    """Wait until no other transaction changes rollups; none does until the end of this one. On SQLite, a transaction is the lock."""
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_advisory_xact_lock(%s)", [NUMBER])

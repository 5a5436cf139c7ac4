"""Load many rows into a table: with COPY on PostgreSQL, with `executemany` elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

Row = Sequence[Any]


def copy(connection: BaseDatabaseWrapper, cursor: Any, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """COPY rows into a table of PostgreSQL. Raises Django's database errors."""
    # Django wraps the errors of its own cursor's methods only.
    with connection.wrap_database_errors, cursor.copy(f'COPY "{table}" ({quote(columns)}) FROM STDIN') as copying:
        for row in rows:
            copying.write_row(row)


def executemany(cursor: Any, table: str, columns: Sequence[str], rows: Iterable[Row], *, conflict: str = "") -> None:
    """Insert rows one after the other in one call; `conflict` is the statement's ON CONFLICT clause."""
    placeholders = ", ".join(["%s"] * len(columns))
    cursor.executemany(f'INSERT INTO "{table}" ({quote(columns)}) VALUES ({placeholders}) {conflict}', rows)  # noqa: S608


def upsert(connection: BaseDatabaseWrapper, table: str, columns: Sequence[str], rows: Sequence[Row], *, conflict: str) -> None:
    """Insert rows in their order; those that the table has are treated as `conflict`, an ON CONFLICT clause, says."""
    if not rows:
        return
    with connection.cursor() as cursor:
        if connection.vendor != "postgresql":
            executemany(cursor, table, columns, rows, conflict=conflict)
            return
        draft, names = f"incoming_{table}", quote(columns)
        cursor.execute(f'CREATE TEMPORARY TABLE IF NOT EXISTS "{draft}" (LIKE "{table}") ON COMMIT DROP')
        copy(connection, cursor, draft, columns, rows)
        # The order of the draft is that of its rows, so that transactions lock the rows of the table in one order.
        cursor.execute(f'INSERT INTO "{table}" ({names}) SELECT {names} FROM "{draft}" {conflict}')  # noqa: S608
        cursor.execute(f'DELETE FROM "{draft}"')  # noqa: S608


def quote(columns: Sequence[str]) -> str:
    """Names of columns as a list in SQL."""
    return ", ".join(f'"{column}"' for column in columns)

"""Insert log entries into their tables, by the fastest way of each database, and each entry once however often it comes.

The columns and rows of the log and of attempts are derived from the structs of the entries (`columns`). Only entries that were new
are returned, and only for those are attempts and payloads written: totals that are counted from them never count an entry twice.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, overload

import msgspec
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from billing.bulk_load import Row, copy, executemany, quote
from billing.columns import Column, Kind, compile_function
from billing.log_columns import ATTEMPT_COLUMNS, LOG_COLUMNS
from billing.models import RequestAttempt, RequestLog, RequestPayload
from billing.request_log.entry import LogEntry

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOG_TABLE = RequestLog._meta.db_table  # noqa: SLF001  (documented by Django)
PAYLOAD_COLUMNS = ("log_id", "timestamp", "client_body", "sent_body", "upstream_answer", "delivered_answer", "truncated")
_json = msgspec.json.Encoder().encode


def timestamp_text(microseconds: int) -> str:
    """A point in time as text in UTC, in the form that Django stores in SQLite (no fraction where it is zero)."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_second_text(seconds)}.{fraction:06d}" if fraction else _second_text(seconds)


@functools.lru_cache(maxsize=1024)
def _second_text(seconds: int) -> str:
    return str(EPOCH + timedelta(seconds=seconds))[:-6]


@overload
def _uuid(text: str) -> str: ...
@overload
def _uuid(text: str | None) -> str | None: ...
def _uuid(text: str | None) -> str | None:
    """The 32 digits of a UUID: what SQLite holds and PostgreSQL reads."""
    return text and text.replace("-", "")


def _json_text(value: Any) -> str | None:
    return None if value is None else _json(value).decode()


WRITERS: Mapping[Kind, Callable[[Any], Any]] = {Kind.UUID: _uuid, Kind.TIMESTAMP: timestamp_text, Kind.JSON: _json_text}
"""How values of a kind are written: in a form that SQLite stores as Django does and that PostgreSQL reads.

Kinds that are not listed are written as they are.
"""


class RowWriter:
    """Turns structs into rows. `columns` are the names; the values of those in `prefix`, which come first, are passed in."""

    def __init__(self, columns: Sequence[Column], *, prefix: tuple[str, ...]) -> None:
        self.columns = (*prefix, *(column.name for column in columns))
        values = [
            *prefix,
            *(f"{column.kind.name}(struct.{column.name})" if column.kind in WRITERS else f"struct.{column.name}" for column in columns),
        ]
        self.row: Callable[..., Row] = compile_function(
            ", ".join(("struct", *prefix)), f"({', '.join(values)})", **{kind.name: write for kind, write in WRITERS.items()}
        )
        """The values of `columns`, from a struct and the values of `prefix`."""


LOG_ROWS = RowWriter(LOG_COLUMNS, prefix=("created_at",))
ATTEMPT_ROWS = RowWriter(ATTEMPT_COLUMNS, prefix=("id", "log_id", "number"))


def attempt_rows(entry: LogEntry) -> list[Row]:
    """The rows of an entry's attempts, numbered from 1."""
    log_id = _uuid(entry.id)
    return [ATTEMPT_ROWS.row(attempt, _attempt_id(log_id, number), log_id, number) for number, attempt in enumerate(entry.tries, 1)]


def _attempt_id(log_id: str, number: int) -> str:
    """The id of an attempt: the first half of its log row's id, and 64 bits of a hash of that id and the number.

    The first half has the time, so new ids go to the end of the index; random ids would cost as much time as the row itself. The hash
    keeps the attempts of log rows apart whose ids follow each other: a counter from the log row's id would not.
    """
    return log_id[:16] + hashlib.blake2b(f"{log_id}{number}".encode(), digest_size=8).hexdigest()


def payload_row(entry: LogEntry) -> Row:
    """The values of `PAYLOAD_COLUMNS`."""
    assert entry.payload is not None
    payload = entry.payload
    bodies = (payload.client_body, payload.sent_body, payload.upstream_answer, payload.delivered_answer)
    return (_uuid(entry.id), timestamp_text(entry.timestamp), *bodies, int(payload.truncated))


def insert(connection: BaseDatabaseWrapper, entries: Sequence[LogEntry], *, now: datetime) -> list[LogEntry]:
    """Insert entries inside the caller's transaction; return those that were new, in their order.

    `now` becomes their `created_at`. Raises Django's database errors when a value does not fit its column.
    """
    created_at = timestamp_text(int((now - EPOCH) / timedelta(microseconds=1)))
    by_id = {_uuid(entry.id): entry for entry in reversed(entries)}  # an entry that is twice in one batch counts once
    log_rows = {log_id: LOG_ROWS.row(by_id[log_id], created_at) for log_id in reversed(by_id)}
    insert_new = _insert_new_on_postgresql if connection.vendor == "postgresql" else _insert_new_on_sqlite
    new = [by_id[log_id] for log_id in insert_new(connection, log_rows)]
    _load(connection, RequestAttempt, ATTEMPT_ROWS.columns, [row for entry in new if entry.tries for row in attempt_rows(entry)])
    _load(connection, RequestPayload, PAYLOAD_COLUMNS, [payload_row(entry) for entry in new if entry.payload])
    return new


def _insert_new_on_postgresql(connection: BaseDatabaseWrapper, log_rows: Mapping[str, Row]) -> list[str]:
    """COPY the rows into a temporary table without constraints and insert from there those that the log lacks; return their ids."""
    columns = quote(LOG_ROWS.columns)
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE TEMPORARY TABLE IF NOT EXISTS incoming (LIKE "{LOG_TABLE}") ON COMMIT DROP')
        copy(connection, cursor, "incoming", LOG_ROWS.columns, log_rows.values())
        cursor.execute(f'INSERT INTO "{LOG_TABLE}" ({columns}) SELECT {columns} FROM incoming ON CONFLICT DO NOTHING RETURNING id')  # noqa: S608
        inserted = {log_id.hex for (log_id,) in cursor.fetchall()}
        cursor.execute("DELETE FROM incoming")
    return [log_id for log_id in log_rows if log_id in inserted]


def _insert_new_on_sqlite(connection: BaseDatabaseWrapper, log_rows: Mapping[str, Row]) -> list[str]:
    """Select which rows the log has and insert the others; return their ids.

    A transaction holds the one write lock from its beginning (`transaction_mode` IMMEDIATE), so no other writer comes between.
    A temporary table as on PostgreSQL takes a fifth longer.
    """
    with connection.cursor() as cursor:
        ids = _json(list(log_rows)).decode()
        cursor.execute(f'SELECT id FROM "{LOG_TABLE}" WHERE id IN (SELECT value FROM json_each(%s))', [ids])  # noqa: S608
        existing = {log_id for (log_id,) in cursor.fetchall()}
        new = [log_id for log_id in log_rows if log_id not in existing]
        executemany(cursor, LOG_TABLE, LOG_ROWS.columns, [log_rows[log_id] for log_id in new])
    return new


def _load(connection: BaseDatabaseWrapper, model: type[models.Model], columns: Sequence[str], rows: list[Row]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        table = model._meta.db_table  # noqa: SLF001  (documented by Django)
        if connection.vendor == "postgresql":
            copy(connection, cursor, table, columns, rows)
        else:
            executemany(cursor, table, columns, rows)

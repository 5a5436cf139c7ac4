"""Entries into tables, the fastest way each database has; each entry once, however often it comes.

Only the rows that were not in the log yet are told to the caller, and only for those are tries and bodies written: whoever
counts something up from log rows counts what came back, and never counts twice.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, overload

import msgspec
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper

from billing.models import RequestAttempt, RequestLog, RequestPayload
from billing.request_log.entry import AttemptEntry, LogEntry

Row = tuple[Any, ...]

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOG = RequestLog._meta.db_table  # noqa: SLF001  (documented by Django)
_LARGEST_UUID = (1 << 128) - 1
_json = msgspec.json.Encoder().encode

LOG_COLUMNS = (
    "id", "timestamp", "created_at", "request_id", "method", "path", "dialect", "input_format", "upstream_dialect", "stream",
    "api_key_id", "key_prefix", "key_name", "session_id", "client_ip", "user_agent", "model", "remote_model", "upstream_id",
    "upstream_name", "status_code", "upstream_status", "outcome", "error_type", "error_message", "attempts", "latency_ms",
    "overhead_us", "ttft_ms", "input_tokens", "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens",
    "output_tokens", "reasoning_tokens", "usage_estimated", "service_tier", "cost", "price_id", "price_version",
    "request_metadata", "routing",
)  # fmt: skip
ATTEMPT_COLUMNS = (
    "id", "log_id", "number", "timestamp", "upstream_id", "upstream_name", "credential_id", "credential_name", "route_id",
    "remote_model", "status_code", "outcome", "error_type", "error_message", "latency_ms", "ttft_ms", "input_tokens",
    "cache_read_tokens", "cache_write_5m_tokens", "cache_write_1h_tokens", "output_tokens", "reasoning_tokens", "cost",
)  # fmt: skip
PAYLOAD_COLUMNS = ("log_id", "timestamp", "request_body", "response_body", "truncated")


def insert(connection: BaseDatabaseWrapper, entries: Sequence[LogEntry], *, now: datetime) -> list[LogEntry]:
    """Write entries inside the caller's transaction; those that were new, in their order."""
    made = moment(int((now - EPOCH) / timedelta(microseconds=1)))
    by_id = {_uuid(entry.id): entry for entry in reversed(entries)}  # the same entry twice in one batch is one
    log_rows = [log_row(entry, made) for entry in reversed(by_id.values())]
    insert_new = _insert_new_on_postgresql if connection.vendor == "postgresql" else _insert_new_on_sqlite
    new = [by_id[log_id] for log_id in insert_new(connection, log_rows)]
    _load(connection, RequestAttempt, ATTEMPT_COLUMNS, [row for entry in new if entry.tries for row in attempt_rows(entry)])
    _load(connection, RequestPayload, PAYLOAD_COLUMNS, [payload_row(entry) for entry in new if entry.payload])
    return new


def _insert_new_on_postgresql(connection: BaseDatabaseWrapper, log_rows: list[Row]) -> list[str]:
    """COPY the rows into a temporary table without constraints and take from there what the log lacks; the ids taken."""
    columns = _list(LOG_COLUMNS)
    with connection.cursor() as cursor:
        cursor.execute(f'CREATE TEMPORARY TABLE IF NOT EXISTS incoming (LIKE "{LOG}") ON COMMIT DROP')
        _copy(connection, cursor, "incoming", LOG_COLUMNS, log_rows)
        cursor.execute(f'INSERT INTO "{LOG}" ({columns}) SELECT {columns} FROM incoming ON CONFLICT DO NOTHING RETURNING id')  # noqa: S608
        taken = {log_id.hex for (log_id,) in cursor.fetchall()}
        cursor.execute("DELETE FROM incoming")
    return [row[0] for row in log_rows if row[0] in taken]


def _insert_new_on_sqlite(connection: BaseDatabaseWrapper, log_rows: list[Row]) -> list[str]:
    """Ask which rows the log has and insert the others; the ids inserted.

    A transaction holds the one write lock from its beginning (`transaction_mode` IMMEDIATE), so nothing comes between. The
    way through a temporary table takes a fifth longer.
    """
    with connection.cursor() as cursor:
        asked = _json([row[0] for row in log_rows]).decode()
        cursor.execute(f'SELECT id FROM "{LOG}" WHERE id IN (SELECT value FROM json_each(%s))', [asked])  # noqa: S608
        known = {log_id for (log_id,) in cursor.fetchall()}
        new = [row for row in log_rows if row[0] not in known]
        _executemany(cursor, LOG, LOG_COLUMNS, new)
    return [row[0] for row in new]


def _load(connection: BaseDatabaseWrapper, model: type[models.Model], columns: Sequence[str], rows: list[Row]) -> None:
    if not rows:
        return
    with connection.cursor() as cursor:
        table = model._meta.db_table  # noqa: SLF001  (documented by Django)
        if connection.vendor == "postgresql":
            _copy(connection, cursor, table, columns, rows)
        else:
            _executemany(cursor, table, columns, rows)


def _copy(connection: BaseDatabaseWrapper, cursor: Any, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    # Django wraps the errors of its own cursor's methods only.
    with connection.wrap_database_errors, cursor.copy(f'COPY "{table}" ({_list(columns)}) FROM STDIN') as copy:
        for row in rows:
            copy.write_row(row)


def _executemany(cursor: Any, table: str, columns: Sequence[str], rows: Iterable[Row]) -> None:
    marks = ", ".join(["%s"] * len(columns))
    cursor.executemany(f'INSERT INTO "{table}" ({_list(columns)}) VALUES ({marks})', rows)  # noqa: S608


def _list(columns: Sequence[str]) -> str:
    return ", ".join(f'"{column}"' for column in columns)


def log_row(entry: LogEntry, made: str) -> Row:
    """The values of `LOG_COLUMNS`, in forms that SQLite stores as Django does and that PostgreSQL reads."""
    return (
        _uuid(entry.id), moment(entry.timestamp), made, entry.request_id, entry.method, entry.path, entry.dialect,
        entry.input_format, entry.upstream_dialect, int(entry.stream), _uuid(entry.api_key_id), entry.key_prefix, entry.key_name,
        entry.session_id, entry.client_ip, entry.user_agent, entry.model, entry.remote_model, _uuid(entry.upstream_id),
        entry.upstream_name, entry.status_code, entry.upstream_status, entry.outcome, entry.error_type, entry.error_message,
        entry.attempts, entry.latency_ms, entry.overhead_us, entry.ttft_ms, entry.input_tokens, entry.cache_read_tokens,
        entry.cache_write_5m_tokens, entry.cache_write_1h_tokens, entry.output_tokens, entry.reasoning_tokens,
        int(entry.usage_estimated), entry.service_tier, entry.cost, _uuid(entry.price_id), entry.price_version,
        _text(entry.request_metadata), _text(entry.routing),
    )  # fmt: skip


def attempt_rows(entry: LogEntry) -> list[Row]:
    """The values of `ATTEMPT_COLUMNS` for each try of an entry."""
    return [_attempt_row(entry.id, number, attempt) for number, attempt in enumerate(entry.tries, 1)]


def _attempt_row(log_id: str, number: int, attempt: AttemptEntry) -> Row:
    return (
        _attempt_id(log_id, number), _uuid(log_id), number, moment(attempt.timestamp), _uuid(attempt.upstream_id), attempt.upstream_name,
        _uuid(attempt.credential_id), attempt.credential_name, _uuid(attempt.route_id), attempt.remote_model, attempt.status_code,
        attempt.outcome, attempt.error_type, attempt.error_message, attempt.latency_ms, attempt.ttft_ms, attempt.input_tokens,
        attempt.cache_read_tokens, attempt.cache_write_5m_tokens, attempt.cache_write_1h_tokens, attempt.output_tokens,
        attempt.reasoning_tokens, attempt.cost,
    )  # fmt: skip


def _attempt_id(log_id: str, number: int) -> str:
    """An attempt's id lies beside its row's: ids of chance would be strewn over the index, which costs as much as the row."""
    return f"{(int(_uuid(log_id), 16) + number) & _LARGEST_UUID:032x}"


def payload_row(entry: LogEntry) -> Row:
    """The values of `PAYLOAD_COLUMNS`."""
    assert entry.payload is not None
    payload = entry.payload
    return (_uuid(entry.id), moment(entry.timestamp), payload.request_body, payload.response_body, int(payload.truncated))


def moment(microseconds: int) -> str:
    """A point in time as text in UTC, the way Django keeps it in SQLite (no fraction where it is zero)."""
    seconds, fraction = divmod(microseconds, 1_000_000)
    return f"{_second(seconds)}.{fraction:06d}" if fraction else _second(seconds)


@functools.lru_cache(maxsize=1024)
def _second(seconds: int) -> str:
    return str(EPOCH + timedelta(seconds=seconds))[:-6]


@overload
def _uuid(text: str) -> str: ...
@overload
def _uuid(text: str | None) -> str | None: ...
def _uuid(text: str | None) -> str | None:
    """The 32 digits of a UUID: what SQLite holds and PostgreSQL reads."""
    return text and text.replace("-", "")


def _text(value: Any) -> str | None:
    return None if value is None else _json(value).decode()

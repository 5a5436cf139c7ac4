"""Reads the PostgreSQL database of a Go pxbin: upstreams, models, keys, and its request log."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from billing.log_columns import CostSource
from billing.money import to_pico
from billing.outcomes import Outcome
from billing.request_log.bounds import clean_text
from billing.request_log.entry import MAX_ERROR_MESSAGE, LogEntry
from proxy.translation.dialects.lookup import dialect_of
from pxbin_site.config_files.configuration import Configuration
from pxbin_site.config_files.documents import ConfigFileError
from pxbin_site.config_files.readers.common import UpstreamNames
from pxbin_site.config_files.readers.wire_names import CHAT
from pxbin_site.config_files.secret_references import Secret
from upstreams.secrets import vault

CONNECT_SECONDS = 10
LOG_BATCH = 1000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
TABLES = ("upstreams", "models", "llm_api_keys", "management_api_keys", "request_logs")
UNDECRYPTED = (
    "The keys of upstreams are encrypted: give pxbin's encryption_key with --passphrase, --passphrase-file or PXBIN_IMPORT_PASSPHRASE. "
    "If it has none and its keys only look encrypted, --plain-secrets takes them as they are."
)
Columns = dict[str, Any]


class Secrets(msgspec.Struct, frozen=True):
    """How stored keys are read. ``passphrase``: empty if there is none; then they are plain text, if ``are_plain`` says so."""

    passphrase: str = ""
    are_plain: bool = False

    def read(self, upstream: str, stored: str) -> str:
        """The key of an upstream. Raises :class:`ConfigFileError`; a wrong passphrase never passes a ciphertext on."""
        if self.are_plain or not vault.looks_encrypted(stored):
            return stored
        if not self.passphrase:
            raise ConfigFileError(UNDECRYPTED)
        try:
            return vault.Ring([self.passphrase]).decrypt_legacy(stored)
        except vault.VaultError:
            raise ConfigFileError(f"upstream {upstream}: its key cannot be decrypted; is the passphrase right?") from None


@contextmanager
def connected(url: str, *, schema: str) -> Iterator[psycopg.Connection[Columns]]:
    """A connection that only reads, at one point in time. Raises :class:`ConfigFileError` if this is no database of pxbin."""
    try:
        with psycopg.connect(url, row_factory=dict_row, connect_timeout=CONNECT_SECONDS) as connection:
            connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            connection.read_only = True
            connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
            rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", [schema]).fetchall()
            missing = [table for table in TABLES if table not in {row["tablename"] for row in rows}]
            if missing:
                hint = f"the schema {schema} has no table {', '.join(missing)}; --schema names another"
                raise ConfigFileError(f"This is no database of pxbin: {hint}")
            yield connection
    except psycopg.Error as error:
        raise ConfigFileError(f"The database to import cannot be read: {' '.join(str(error).split())}") from None


def read(connection: psycopg.Connection[Columns], secrets: Secrets) -> Configuration:
    """The configuration in the database: all but the log. Raises :class:`ConfigFileError`."""
    configuration = Configuration(format="pxbin database")
    names = UpstreamNames()
    upstreams: dict[Any, str] = {}
    problems: list[str] = []
    for row in _rows(connection, "upstreams"):
        name = upstreams[row["id"]] = names.name(row["base_url"], row["name"].strip())
        place = f"upstreams {row['id']}"
        active, priority, base_url = row["is_active"], row["priority"], row["base_url"].rstrip("/")
        format_name = row.get("format") or CHAT  # the oldest versions have no such column
        values = {"name": name, "base_url": base_url, "format": format_name, "is_active": active, "priority": priority}
        configuration.add("upstreams", place, id=row["id"], **values)
        try:
            secret = secrets.read(name, row["api_key_encrypted"])
        except ConfigFileError as error:
            problems += error.problems
            continue
        if secret:
            configuration.add("credentials", place, upstream=name, name="default", secret=Secret(secret))
    if problems:
        raise ConfigFileError(*dict.fromkeys(problems))
    _add_models(configuration, connection, upstreams)
    _add_keys(configuration, connection)
    return configuration


def _rows(connection: psycopg.Connection[Columns], table: str) -> list[Columns]:
    return connection.execute(sql.SQL("SELECT * FROM {} ORDER BY created_at, id").format(sql.Identifier(table))).fetchall()


def _add_models(configuration: Configuration, connection: psycopg.Connection[Columns], upstreams: Mapping[Any, str]) -> None:
    for row in _rows(connection, "models"):
        place, name = f"models {row['id']}", row["name"]
        configuration.add(
            "models",
            place,
            id=row["id"],
            name=name,
            display_name=row["display_name"],
            provider=row["provider"],
            is_active=row["is_active"],
        )
        if row["upstream_id"] in upstreams:
            configuration.add("routes", place, model=name, upstream=upstreams[row["upstream_id"]], remote_name="")
        else:
            configuration.warn(f"the model {name} has no upstream")
        rates = {"input": row["input_cost_per_million"], "output": row["output_cost_per_million"]}
        if any(rates.values()):
            configuration.add("prices", place, model=name, remote_name="", **{kind: str(rate) for kind, rate in rates.items()})


def _add_keys(configuration: Configuration, connection: psycopg.Connection[Columns]) -> None:
    for section, table in (("keys", "llm_api_keys"), ("management_keys", "management_api_keys")):
        for row in _rows(connection, table):
            values = (
                {"rate_limit": row["rate_limit"] or None, "metadata": row["metadata"] or {}}
                if section == "keys"
                else {"permissions": row["permissions"]}
            )
            configuration.add(
                section,
                f"{table} {row['id']}",
                id=row["id"],
                key_hash=row["key_hash"],
                key_prefix=row["key_prefix"],
                name=row["name"],
                is_active=row["is_active"],
                **values,
            )
            if values.get("rate_limit"):
                configuration.warn("the rate limits of keys, which pxbin only showed, are enforced here")


class Names(msgspec.Struct, frozen=True, kw_only=True):
    """What the log of this gateway calls the rows of the other: key id to id, prefix and name; upstream id to id and name."""

    keys: dict[uuid.UUID, tuple[str, str, str]]
    upstreams: dict[uuid.UUID, tuple[str, str]]


def log_size(connection: psycopg.Connection[Columns]) -> int:
    """The number of rows of the log."""
    row = connection.execute("SELECT count(*) AS rows FROM request_logs").fetchone()
    assert row is not None
    return int(row["rows"])


def log_entries(connection: psycopg.Connection[Columns], names: Names) -> Iterator[list[LogEntry]]:
    """The rows of the log, the oldest first, in batches."""
    with connection.cursor(name="pxbin_logs") as cursor:
        cursor.itersize = LOG_BATCH
        cursor.execute("SELECT * FROM request_logs ORDER BY timestamp, id")
        while batch := cursor.fetchmany(LOG_BATCH):
            yield [_entry(row, names) for row in batch]


def _entry(row: Columns, names: Names) -> LogEntry:
    key_id, key_prefix, key_name = names.keys.get(row["llm_key_id"], (None, "", ""))
    upstream_id, upstream_name = names.upstreams.get(row["upstream_id"], (None, ""))
    status = row["status_code"] or 0
    cost = Decimal(row["cost"] or 0)
    tokens = {kind: max(row.get(f"{kind}_tokens") or 0, 0) for kind in ("input", "output", "cache_read", "cache_creation")}
    is_billed = cost > 0
    return LogEntry(
        id=str(row["id"]),
        request_id=str(row["id"]),
        timestamp=int((row["timestamp"] - EPOCH) / timedelta(microseconds=1)),
        method=clean_text(row["method"], 16),
        path=clean_text(row["path"], 500),
        dialect=dialect_of(row["path"], {}).name,
        input_format=row["input_format"],
        api_key_id=key_id,
        key_prefix=key_prefix,
        key_name=key_name,
        model=clean_text(row["model"] or "", 200),
        upstream_id=upstream_id,
        upstream_name=upstream_name,
        status_code=status,
        outcome=Outcome.FINISHED if status < 400 else Outcome.FAILED,
        error_message=clean_text(row["error_message"] or "", MAX_ERROR_MESSAGE),
        attempts=1 if upstream_id else 0,
        latency_ms=row["latency_ms"] or 0,
        overhead_us=row.get("overhead_us") or 0,
        input_tokens=tokens["input"],
        cache_read_tokens=tokens["cache_read"],
        cache_write_5m_tokens=tokens["cache_creation"],
        output_tokens=tokens["output"],
        cost=to_pico(cost) if is_billed else None,
        cost_source=CostSource.PRICE if is_billed else CostSource.UNPRICED,
    )

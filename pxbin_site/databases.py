"""Turn the database settings into Django's `DATABASES` entry."""

from typing import Any

import environ

from pxbin_site.config import Config

SQLITE_TIMEOUT_SECONDS = 20
CONNECT_TIMEOUT_SECONDS = 5
SQLITE_FILE = "pxbin.sqlite3"


def database(config: Config) -> dict[str, Any]:
    """SQLite in the data directory, or what `database_url` names."""
    url = config.database_url or f"sqlite:///{config.data_dir / SQLITE_FILE}"
    entry: dict[str, Any] = environ.Env.db_url_config(url)
    if entry["ENGINE"].endswith("sqlite3"):
        return _sqlite(entry, config)
    return _postgresql(entry, config)


def _sqlite(entry: dict[str, Any], config: Config) -> dict[str, Any]:
    """Writers queue instead of failing: without IMMEDIATE a transaction that reads first cannot wait for its turn to write."""
    options = {
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": SQLITE_TIMEOUT_SECONDS,
    }
    return {**entry, "OPTIONS": options, "TEST": {"NAME": str(config.data_dir / "test.sqlite3")}}


def _postgresql(entry: dict[str, Any], config: Config) -> dict[str, Any]:
    """A pool of connections whose search path is our schema alone: tables of the same name elsewhere stay out of sight."""
    options = {
        "connect_timeout": CONNECT_TIMEOUT_SECONDS,
        **entry.get("OPTIONS", {}),
        "options": f"-c search_path={config.database_schema}",
        "pool": {"min_size": config.min_db_conns, "max_size": config.max_db_conns, "timeout": CONNECT_TIMEOUT_SECONDS},
    }
    return {**entry, "OPTIONS": options}

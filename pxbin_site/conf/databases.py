"""Turn the database settings into Django's `DATABASES` entry."""

from typing import Any
from urllib.parse import urlsplit

import environ

from pxbin_site.conf.config import Config

SQLITE_TIMEOUT_SECONDS = 20
CONNECT_TIMEOUT_SECONDS = 5
NOBODY_THERE = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""libpq's limits for a server that no longer acknowledges anything: about ten seconds instead of the system's hours."""
SQLITE_FILE = "pxbin.sqlite3"
POSTGRESQL_PORT = 5432


def database(config: Config) -> dict[str, Any]:
    """SQLite in the data directory, or what `database_url` names."""
    if not config.database_url:  # not by way of a URL, where a folder's `#`, `?` or `%` would mean something
        return _sqlite({"ENGINE": "django.db.backends.sqlite3", "NAME": str(config.data_dir / SQLITE_FILE)}, config)
    entry: dict[str, Any] = environ.Env.db_url_config(config.database_url)
    if "," in entry["HOST"] and not entry["HOST"].startswith("/"):
        entry["PORT"] = _ports(config.database_url)
    if entry["ENGINE"].endswith("sqlite3"):
        return _sqlite(entry, config)
    return _postgresql(entry, config)


def _ports(url: str) -> str:
    """One port for each of several hosts: django-environ leaves out those that the URL leaves out, and libpq pairs them by place."""
    servers = url.partition("://")[2].partition("/")[0].rpartition("@")[2].split(",")
    return ",".join(str(urlsplit(f"//{server}").port or POSTGRESQL_PORT) for server in servers)


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
        **NOBODY_THERE,
        **entry.get("OPTIONS", {}),
        "options": f"-c search_path={config.database_schema}",
        "pool": {"min_size": config.min_db_conns, "max_size": config.max_db_conns, "timeout": CONNECT_TIMEOUT_SECONDS},
    }
    return {**entry, "OPTIONS": options}

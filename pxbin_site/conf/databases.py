"""Django's `DATABASES` entry from the database settings."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ

from pxbin_site.conf.config import Config

SQLITE_TIMEOUT_SECONDS = 20
CONNECT_TIMEOUT_SECONDS = 5
DEAD_SERVER_LIMITS = {"keepalives_idle": 5, "keepalives_interval": 2, "keepalives_count": 3, "tcp_user_timeout": 10_000}
"""libpq options for a server that acknowledges nothing any more: the connection fails after ten seconds instead of hours."""
SQLITE_FILE = "pxbin.sqlite3"
POSTGRESQL_PORT = 5432
DEFAULT_SCHEMA = "public"
CONNECTION_LIFE_SECONDS = 600
"""After this time a pooled connection is replaced, so that balancers and new servers get their share."""


def database(config: Config) -> dict[str, Any]:
    """SQLite in the data directory, or the database of `database_url`."""
    if not config.database_url:  # without a URL, in which `#`, `?` and `%` of a folder's name would be syntax
        return _sqlite({"ENGINE": "django.db.backends.sqlite3", "NAME": str(config.data_dir / SQLITE_FILE)}, config)
    entry: dict[str, Any] = environ.Env.db_url_config(config.database_url)
    if "," in entry["HOST"] and not entry["HOST"].startswith("/"):
        entry["PORT"] = _ports(config.database_url)
    if entry["ENGINE"].endswith("sqlite3"):
        return _sqlite(entry, config)
    return _postgresql(entry, config)


def forbid_creation(entry: dict[str, Any]) -> None:
    """Change an entry of `DATABASES` so that new connections fail if the SQLite file is missing. SQLite would create an empty one.

    For processes that serve or work: they start when the database is set up.
    """
    name = str(entry["NAME"])
    if entry["ENGINE"].endswith("sqlite3") and not name.startswith(("file:", ":memory:")):
        entry["NAME"] = f"{Path(name).absolute().as_uri()}?mode=rw"  # Django opens names as SQLite's URIs


def _ports(url: str) -> str:
    """One port for each of several hosts. libpq pairs hosts and ports by position, and django-environ omits ports that the URL omits."""
    servers = url.partition("://")[2].partition("/")[0].rpartition("@")[2].split(",")
    return ",".join(str(urlsplit(f"//{server}").port or POSTGRESQL_PORT) for server in servers)


def _sqlite(entry: dict[str, Any], config: Config) -> dict[str, Any]:
    """IMMEDIATE transactions, so that writers wait for each other: a transaction that has read cannot wait for the write lock."""
    options = {
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;",
        "transaction_mode": "IMMEDIATE",
        "timeout": SQLITE_TIMEOUT_SECONDS,
    }
    return {**entry, "OPTIONS": options, "TEST": {"NAME": str(config.data_dir / "test.sqlite3")}}


def _postgresql(entry: dict[str, Any], config: Config) -> dict[str, Any]:
    """A pool of connections to `database_schema`.

    A schema other than the default is alone in the search path, so that tables of other programs are not visible. The default one is not
    selected: poolers such as PgBouncer refuse startup parameters. Which one is used is checked when a connection is opened.
    """
    options = {"connect_timeout": CONNECT_TIMEOUT_SECONDS, **DEAD_SERVER_LIMITS, **entry.get("OPTIONS", {})}
    if config.database_schema != DEFAULT_SCHEMA:
        options["options"] = f"{options.get('options', '')} -c search_path={config.database_schema}".strip()
    options["pool"] = {
        "min_size": config.min_db_conns,
        "max_size": config.max_db_conns,
        "timeout": CONNECT_TIMEOUT_SECONDS,
        "max_lifetime": CONNECTION_LIFE_SECONDS,
    }
    return {**entry, "ENGINE": "accounts.common.postgresql", "SCHEMA": config.database_schema, "OPTIONS": options}

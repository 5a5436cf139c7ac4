"""What can be done with an installation of the release: run commands on it, look into its tables, serve it."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from psycopg.rows import dict_row

from tests.release import doors, restoring
from tests.support.gateway import ROOT, Gateway, clean_environment

Rows = list[dict[str, Any]]


class Installation:
    """A data directory and its database."""

    def __init__(self, home: Path, database_url: str = "") -> None:
        self.home = home
        self.variables = {"PXBIN_DATABASE_URL": database_url} if database_url else {}

    def environment(self, **variables: str) -> dict[str, str]:
        """For its processes."""
        return clean_environment(**{"PXBIN_DATA_DIR": str(self.home), "PXBIN_MIN_DB_CONNS": "1", **self.variables, **variables})

    def manage(self, *arguments: str, **variables: str) -> str:
        """Run a command of today's; what it printed."""
        command = [sys.executable, str(ROOT / "manage.py"), *arguments]
        process = subprocess.run(
            command, env=self.environment(**variables), cwd=ROOT, capture_output=True, text=True, check=False, timeout=60
        )
        assert process.returncode == 0, f"{arguments}: {process.stdout}{process.stderr}"
        return process.stdout

    def rows(self, table: str) -> Rows:
        """The rows of a table of the release, under today's names, as the database itself has them."""
        name = doors.table(table)
        if url := self.variables.get("PXBIN_DATABASE_URL"):
            with psycopg.connect(url, row_factory=dict_row) as connection:
                return connection.execute(f'SELECT * FROM "{name}"').fetchall()
        with closing(sqlite3.connect(self.home / "pxbin.sqlite3")) as database:
            database.row_factory = sqlite3.Row
            return [dict(row) for row in database.execute(f'SELECT * FROM "{name}"')]

    def tables(self) -> list[str]:
        """The names of all tables."""
        if url := self.variables.get("PXBIN_DATABASE_URL"):
            with psycopg.connect(url) as connection:
                rows = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()
                return sorted(name for (name,) in rows)
        with closing(sqlite3.connect(self.home / "pxbin.sqlite3")) as database:
            rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'").fetchall()
            return sorted(name for (name,) in rows)

    def take_spool(self) -> Path:
        """Lay the release's segments into the spool; where that is."""
        spool = self.home / "spool"
        shutil.copytree(restoring.FILES / "spool", spool, dirs_exist_ok=True)
        return spool

    @contextmanager
    def served(self, **variables: str) -> Iterator[Gateway]:
        """A gateway of today's code on it, without background work."""
        settings = {"PXBIN_CELERY": "false", "PXBIN_MIN_DB_CONNS": "1", "PXBIN_RESPONSES_STORE_SECONDS": "86400"}
        gateway = Gateway(self.home, {**settings, **self.variables, **variables})
        gateway.client_key, gateway.management_key = (restoring.key(restoring.FILES, name) for name in ("client", "management"))
        try:
            yield gateway
        finally:
            if gateway.process.poll() is None:
                gateway.stop()
            gateway.http.close()


def at_least(current: Any, released: Any) -> Any:
    """What is shown now, without the fields that the release did not have; exact amounts, which were numbers, as those numbers."""
    if isinstance(current, list) and isinstance(released, list) and len(current) == len(released):
        return [at_least(new, old) for new, old in zip(current, released, strict=True)]
    if isinstance(current, dict) and isinstance(released, dict):
        return {name: _as_released(name, value, released[name]) for name, value in current.items() if name in released}
    return current


def _as_released(name: str, current: Any, released: Any) -> Any:
    if name == "cost_usd" and isinstance(current, str) and isinstance(released, float):
        return float(current)
    return at_least(current, released)

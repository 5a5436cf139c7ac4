"""Base of management commands that need an initialised gateway."""

from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection


def connect_once() -> None:
    """Connect to PostgreSQL once, outside its pool, whose error would only be a timeout. Raises OperationalError with the cause."""
    if connection.vendor == "postgresql":
        with connection.wrap_database_errors:
            connection.Database.connect(**connection.get_connection_params()).close()  # type: ignore[attr-defined]  # psycopg


def is_set_up() -> bool:
    """Whether the database has the gateway's tables. A missing SQLite file is not created by the check."""
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        return False
    connect_once()
    table = apps.get_model("accounts", "ApiKey")._meta.db_table  # noqa: SLF001  (documented)
    return table in connection.introspection.table_names()


def require_gateway() -> None:
    """Raise CommandError if no gateway was ever started with this configuration."""
    if not is_set_up():
        config = settings.PXBIN
        location, setting = ("the database", "PXBIN_DATABASE_URL") if config.database_url else (config.data_dir, "PXBIN_DATA_DIR")
        raise CommandError(f"There is no gateway in {location} yet; start it once, or set {setting}")


class GatewayCommand(BaseCommand):
    """A command that needs the database of a gateway, and ends with a clear error if there is none."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        require_gateway()
        return super().execute(*args, **options)

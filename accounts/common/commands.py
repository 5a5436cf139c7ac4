"""What our commands have in common: they are for a gateway that is there."""

from pathlib import Path
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.db import connection


def reach() -> None:
    """Connect to PostgreSQL once without its pool, which would only tell how long it waited in vain. Raises OperationalError."""
    if connection.vendor == "postgresql":
        with connection.wrap_database_errors:
            connection.Database.connect(**connection.get_connection_params()).close()  # type: ignore[attr-defined]  # psycopg


def is_set_up() -> bool:
    """Whether the database is that of a gateway. A file that is not there is not made by looking."""
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        return False
    reach()
    table = apps.get_model("accounts", "ApiKey")._meta.db_table  # noqa: SLF001  (public, in spite of its name)
    return table in connection.introspection.table_names()


def require_gateway() -> None:
    """Raise CommandError where nobody has started a gateway yet."""
    if not is_set_up():
        config = settings.PXBIN
        where, name = ("the database", "PXBIN_DATABASE_URL") if config.database_url else (config.data_dir, "PXBIN_DATA_DIR")
        raise CommandError(f"There is no gateway in {where} yet; start it once, or set {name}")


class GatewayCommand(BaseCommand):
    """A command that works in the database of a gateway, and says in a sentence where there is none."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        """Look first, then do it."""
        require_gateway()
        return super().execute(*args, **options)

"""`manage.py backup`: a copy of the SQLite database while the gateway runs."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import connection

from accounts.common.commands import GatewayCommand
from pxbin_site.conf import secrets_file
from pxbin_site.conf.config import Config
from pxbin_site.processes.backup import BackupFailed, back_up

DIRECTORY = "backups"


class Command(GatewayCommand):
    """Back up the database."""

    help = (
        "Copy the SQLite database to a file while the gateway runs. To restore it: stop the gateway, replace pxbin.sqlite3 in the data "
        "directory by the copy, remove pxbin.sqlite3-wal and pxbin.sqlite3-shm, start the gateway."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("file", nargs="?", type=Path, help=f"a new file (default: in the directory {DIRECTORY} of the data directory)")

    def handle(self, *args: Any, **options: Any) -> None:
        config: Config = settings.PXBIN
        if connection.vendor != "sqlite":
            raise CommandError("The database is PostgreSQL: back it up with pg_dump.")
        name = f"pxbin-{datetime.now(UTC):%Y%m%dT%H%M%SZ}.sqlite3"
        target = options["file"] or config.data_dir / DIRECTORY / name
        try:
            size = back_up(Path(connection.settings_dict["NAME"]), target)
        except BackupFailed as failure:
            raise CommandError(str(failure)) from failure
        self.stdout.write(f"{target} ({size:,} bytes)")
        secrets = config.data_dir / secrets_file.FILE_NAME
        if secrets.exists():
            self.stderr.write(f"Keep a copy of {secrets} elsewhere: without it the keys of upstreams in the backup cannot be decrypted.")

"""`manage.py import_pxbin DATABASE_URL`: take over the database of a Go pxbin."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.common.commands import is_set_up, require_gateway
from billing.request_log import writer
from pxbin_site.conf import parsers
from pxbin_site.conf.sources import IMPORT_PASSPHRASE
from pxbin_site.config_files import legacy_database
from pxbin_site.config_files.applying import apply
from pxbin_site.config_files.documents import ConfigFileError
from pxbin_site.config_files.legacy_names import names_of
from pxbin_site.management.preparation import prepare


class Command(BaseCommand):
    """Imports upstreams, models, keys and, if asked to, the log."""

    help = (
        "Import the PostgreSQL database of a pxbin written in Go: upstreams with their keys, which are encrypted anew, models with prices, "
        "client and management keys, which stay valid. The other database is only read. A second import changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The database, and how to read it."""
        parser.add_argument("database_url", metavar="DATABASE_URL", help="postgresql://user:password@host:5432/name of the other pxbin")
        parser.add_argument("--schema", default="public", help="the schema of its tables (its database_schema)")
        parser.add_argument("--passphrase", help=f"its encryption_key; visible to other users of this machine, unlike {IMPORT_PASSPHRASE}")
        parser.add_argument("--passphrase-file", type=Path, help="a file with its encryption_key")
        parser.add_argument("--plain-secrets", action="store_true", help="it has no encryption_key: take the keys of upstreams as they are")
        parser.add_argument("--logs", action="store_true", help="import its request log, too")
        parser.add_argument("--dry-run", action="store_true", help="print what would change, and write nothing")
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, write, report."""
        try:
            parsers.url("postgresql", "postgres")(options["database_url"])
            parsers.schema(options["schema"])
        except ValueError as error:
            raise CommandError(f"DATABASE_URL or --schema {error}") from None
        secrets = legacy_database.Secrets(_passphrase(options), options["plain_secrets"])
        try:
            self._import(secrets, options)
        except ConfigFileError as error:
            raise CommandError(str(error)) from None

    def _import(self, secrets: legacy_database.Secrets, options: dict[str, Any]) -> None:
        if options["dry_run"]:
            require_gateway()
        with legacy_database.connected(options["database_url"], schema=options["schema"]) as connection:
            configuration = legacy_database.read(connection, secrets)
            if not options["dry_run"] and not is_set_up():
                for line in prepare(settings.PXBIN, announce=self._announce).lines():
                    self.stderr.write(line)
            report = apply(configuration, dry_run=options["dry_run"])
            rows = legacy_database.log_size(connection) if options["logs"] else 0
            written = self._import_log(connection, rows) if rows and not options["dry_run"] else 0
        if options["json"]:
            log = {"log_rows": rows, "log_rows_written": written} if options["logs"] else {}
            self.stdout.write(json.dumps({**report.as_object(), **log}, ensure_ascii=False))
            return
        self.stdout.write("\n".join(report.lines()))
        if options["logs"]:
            self.stdout.write(f"{rows} rows of the log, {written} written")

    def _announce(self, number: int) -> None:
        self.stderr.write(f"pxbin sets up its database ({number} migrations), which takes some seconds …")

    def _import_log(self, connection: Any, rows: int) -> int:
        """Write the log in batches, each in a transaction; return the number of new rows."""
        read = written = 0
        shows_progress = self.stderr.isatty()
        for batch in legacy_database.log_entries(connection, names_of(connection)):
            written += writer.write_entries(batch)
            read += len(batch)
            if shows_progress:
                self.stderr.write(f"\rlog: {read} of {rows} rows", ending="")
                self.stderr.flush()
        if shows_progress:
            self.stderr.write("")
        return written


def _passphrase(options: dict[str, Any]) -> str:
    """The passphrase of an option, of a file, or of the environment; empty if there is none."""
    if options["passphrase"]:
        return str(options["passphrase"])
    if options["passphrase_file"]:
        try:
            return str(options["passphrase_file"].read_text(encoding="utf-8").strip())
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['passphrase_file']}: cannot be read") from error
    return str(settings.VARIABLES.get(IMPORT_PASSPHRASE, ""))

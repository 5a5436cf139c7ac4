"""`manage.py import_config FILE`: take over the configuration of this or of another gateway."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connection

from accounts.common.commands import is_set_up, require_gateway
from pxbin_site.config_files import formats, importing
from pxbin_site.config_files.applying import apply
from pxbin_site.config_files.choices import add_choices, choices_of
from pxbin_site.config_files.configuration import Configuration
from pxbin_site.config_files.documents import ConfigFileError
from pxbin_site.config_files.report import Report
from pxbin_site.management.preparation import prepare

DRIFT_STATUS = 3


class Command(BaseCommand):
    """Imports a configuration file, all of it or nothing."""

    help = (
        "Import a configuration file: one that export_config wrote, or that of proxx, claude-proxy, model-proxy, python-llm-proxy, LiteLLM "
        "or claude-code-router. Prints each difference; writes nothing if any row is invalid. A second import changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The file, and what to do with it."""
        parser.add_argument("file", type=Path, help="the file; for model-proxy also the directory that holds config/")
        parser.add_argument(
            "--format", default=formats.AUTO, choices=[formats.AUTO, *formats.FORMATS], help="default: by the content of the file"
        )
        parser.add_argument("--dry-run", action="store_true", help="print the differences and write nothing")
        parser.add_argument("--exit-code", action="store_true", help=f"with --dry-run: end with status {DRIFT_STATUS} if anything differs")
        parser.add_argument("--json", action="store_true", help="print the differences as one JSON object")
        parser.add_argument(
            "--prune",
            action="store_true",
            help="delete upstreams, models, routes and credentials that the file does not list, and revoke keys",
        )
        add_choices(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, compare, write, report."""
        try:
            configuration = importing.read(options["file"], choices_of(options), format_name=options["format"])
            report = self._report(configuration, options)
        except ConfigFileError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(report.as_object(), ensure_ascii=False))
        else:
            self.stdout.write("\n".join(report.lines()))
        if report.changes and options["dry_run"] and options["exit_code"]:
            raise SystemExit(DRIFT_STATUS)

    def _announce(self, number: int) -> None:
        self.stderr.write(f"pxbin sets up its database ({number} migrations), which takes some seconds …")

    def _report(self, configuration: Configuration, options: dict[str, Any]) -> Report:
        if not configuration.rows and not configuration.sections:
            return Report(configuration=configuration)
        if options["dry_run"]:
            _compare_with_something()
        elif not is_set_up():
            for line in prepare(settings.PXBIN, announce=self._announce).lines():
                self.stderr.write(line)
        return apply(configuration, prune=options["prune"], dry_run=options["dry_run"])


def _compare_with_something() -> None:
    """Let a dry run before the first start compare with an empty gateway, in memory. Raises CommandError where PostgreSQL is empty."""
    if connection.vendor != "sqlite" or is_set_up():
        require_gateway()
        return
    connection.settings_dict["NAME"] = ":memory:"
    call_command("migrate", interactive=False, verbosity=0)

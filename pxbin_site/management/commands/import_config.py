"""`manage.py import_config FILE`: take over the configuration of this or of another gateway."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.common.commands import is_set_up, require_gateway
from pxbin_site.config_files import formats, importing
from pxbin_site.config_files.applying import apply
from pxbin_site.config_files.configuration import Configuration, Options
from pxbin_site.config_files.documents import ConfigFileError
from pxbin_site.config_files.report import Report
from pxbin_site.processes import bootstrap

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
        add_option_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        """Read, compare, write, report."""
        try:
            configuration = importing.read(options["file"], options_of(options), format_name=options["format"])
            report = self._report(configuration, options)
        except ConfigFileError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.stdout.write(json.dumps(report.as_object(), ensure_ascii=False))
        else:
            self.stdout.write("\n".join(report.lines()))
        if report.changes and options["dry_run"] and options["exit_code"]:
            raise SystemExit(DRIFT_STATUS)

    def _report(self, configuration: Configuration, options: dict[str, Any]) -> Report:
        if not configuration.rows and not configuration.sections:
            return Report(configuration=configuration)
        if options["dry_run"]:
            require_gateway()
        elif not is_set_up():
            for line in bootstrap.first_start(settings.PXBIN):
                self.stderr.write(line)
        return apply(configuration, prune=options["prune"], dry_run=options["dry_run"])


def add_option_arguments(parser: CommandParser) -> None:
    """The choices about files of other gateways."""
    parser.add_argument("--client-identity", action="store_true", help="proxx: send the headers of Claude Code; check the provider's terms")
    parser.add_argument("--no-catch-all", action="store_true", help="proxx, claude-code-router: no model * for all other names")
    parser.add_argument("--require-keys", action="store_true", help="no model is open to clients without a pxb_ key, even where it was")


def options_of(options: dict[str, Any]) -> Options:
    """The choices of a command line."""
    return Options(
        variables=os.environ,
        client_identity=options["client_identity"],
        catch_all=not options["no_catch_all"],
        require_keys=options["require_keys"],
    )

"""`manage.py setup`: what the first start does, without serving."""

from __future__ import annotations

import sys
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser, OutputWrapper

from accounts.common.commands import write_json
from pxbin_site.checks import TAG
from pxbin_site.management.preparation import prepare
from pxbin_site.processes import private_files


class Command(BaseCommand):
    """Sets the gateway up, or brings its database up to date."""

    help = (
        "Bring the database up to date and create what is missing: secrets, an admin user, the first keys, the echo, and an upstream for "
        "each provider whose key is in the environment. What is created is shown once. Nothing is served; `serve` does the same first."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """How to report."""
        parser.add_argument("--json", action="store_true", help="print what was created as one JSON object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Set up, and print what was created. Raises CommandError with what is wrong and how to mend it."""
        self.check(tags=[TAG])
        private_files.restrict(settings.PXBIN)
        progress = OutputWrapper(sys.stderr)
        prepared = prepare(
            settings.PXBIN,
            announce=lambda number: progress.write(f"{number} migrations are applied, which takes some seconds …"),
            output=progress if progress.isatty() else None,
        )
        if options["json"]:
            write_json(self.stdout, {**msgspec.to_builtins(prepared.created), "migrated": bool(prepared.migrated)})
            return
        for line in prepared.lines() or ["nothing was missing"]:
            self.stdout.write(line)
        if prepared.created.has_secrets:
            self.stdout.write("These secrets are shown once. `manage.py serve` starts the gateway.")

"""`manage.py doctor`: check everything that the gateway needs, and say how to mend what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError, InterfaceError

from accounts.common.commands import write_json
from pxbin_site.management.doctor import configuration, processes, stores
from pxbin_site.management.doctor.finding import Check, Finding, Level, failed, one_line


class Command(BaseCommand):
    """Prints a line for each finding; it changes nothing."""

    help = (
        "Check settings, database, Redis, disk, spool, clock, gateway, worker, beat, keys, secrets, upstreams and models, and say how to "
        "mend what is wrong. The exit code is 1 if something does not work; warnings do not change it."
    )
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        """What to leave out, and how to report."""
        parser.add_argument("--offline", action="store_true", help="do not call the upstreams")
        parser.add_argument("--json", action="store_true", help="print one JSON object: `healthy`, and the `checks`")

    def handle(self, *args: Any, **options: Any) -> None:
        """Check, and print the findings. Raises CommandError if something does not work."""
        findings = []
        for finding in _findings(call=not options["offline"]):
            findings.append(finding)
            if not options["json"]:
                self._print(finding)
        failures = [finding for finding in findings if finding.level is Level.FAILED]
        if options["json"]:
            checks = [{"name": item.subject, "status": item.level, "message": item.message, "remedy": item.remedy} for item in findings]
            write_json(self.stdout, {"healthy": not failures, "checks": checks})
        if failures:
            subjects = ", ".join(dict.fromkeys(finding.subject for finding in failures))
            raise CommandError(f"Something does not work: {subjects}")

    def _print(self, finding: Finding) -> None:
        style = {Level.OK: self.style.SUCCESS, Level.WARNING: self.style.WARNING, Level.FAILED: self.style.ERROR}[finding.level]
        self.stdout.write(f"{style(f'{finding.level:8}')} {finding.subject}: {finding.message}")
        if finding.remedy:
            self.stdout.write(f"         -> {finding.remedy}")
        self.stdout.flush()


def _findings(*, call: bool) -> Iterator[Finding]:
    """The findings of all checks; a check whose database goes away meanwhile is a finding too."""
    checks: dict[str, Check] = {
        "settings": configuration.settings_,
        "database": stores.database,
        "redis": stores.redis,
        "disk": stores.disk,
        "spool": stores.spool,
        "clock": stores.clock,
        "gateway": processes.gateway,
        "worker": processes.worker,
        "beat": processes.beat,
        "keys": configuration.keys,
        "secrets": configuration.secrets,
        "upstreams": partial(configuration.upstreams, call=call),
        "models": configuration.models,
    }
    for subject, check in checks.items():
        try:
            yield from check()
        except (DatabaseError, InterfaceError) as error:
            yield failed(subject, f"the database did not answer: {one_line(error)}", "See database")

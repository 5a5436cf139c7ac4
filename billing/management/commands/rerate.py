"""`manage.py rerate --since TIME`: rate rows of the log again with the prices that were valid then."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec
from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from billing.request_log.rerate import Report, rerate

SHOWN_CHANGES = 20


class Command(GatewayCommand):
    """Rates rows of the log again."""

    help = "Rate rows of the request log again, each with the price that was valid when its request began, and report what has changed."

    def add_arguments(self, parser: CommandParser) -> None:
        """The period, and how to report."""
        parser.add_argument("--since", type=_moment, required=True, help="first time, for example 2026-11-01 or 2026-11-01T12:00:00Z")
        parser.add_argument("--until", type=_moment, help="first time that is left out; default: none")
        parser.add_argument("--dry-run", action="store_true", help="report what would change, and change nothing")
        parser.add_argument("--json", action="store_true", help="print the report as one JSON object; amounts are strings in USD")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rate, and print the report."""
        since, until = options["since"], options["until"]
        if until is not None and until <= since:
            raise CommandError("--until must be later than --since")
        report = rerate(since, until, dry_run=options["dry_run"], progress=partial(self.with_progress, subject="rows"))
        if options["json"]:
            fields = {"since": since.isoformat(), "until": until and until.isoformat(), "dry_run": options["dry_run"]}
            self.stdout.write(msgspec.json.encode(fields | msgspec.to_builtins(report, builtin_types=())).decode())
        else:
            self.stdout.write("\n".join(_lines(report, dry_run=options["dry_run"])))


def _lines(report: Report, *, dry_run: bool) -> list[str]:
    verb = "would change" if dry_run else "changed"
    lines = [
        f"{report.rows} rows, {report.changed} {verb}",
        f"cost: {report.cost_before:f} USD before, {report.cost_after:f} USD after",
        f"unpriced: {report.unpriced_before} before, {report.unpriced_after} after",
    ]
    lines += [
        f"  {change.model} at {change.upstream}: {change.rows} rows, {change.cost_before:f} -> {change.cost_after:f} USD"
        for change in report.changes[:SHOWN_CHANGES]
    ]
    if len(report.changes) > SHOWN_CHANGES:
        lines.append(f"  and {len(report.changes) - SHOWN_CHANGES} more models")
    return lines


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"{text!r} is not a time such as 2026-11-01 or 2026-11-01T12:00:00Z") from None

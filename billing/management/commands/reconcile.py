"""`manage.py reconcile`: compare the sums with the rows, the rows with the journal, and the calls with a provider's bill."""

import sys
from argparse import ArgumentTypeError
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import msgspec
from django.conf import settings
from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from billing.reconciliation import exports, ledger, provider
from billing.request_log.journal import SPOOL_DIRECTORY
from upstreams.models import Upstream

MOST_UNANSWERED = 200
DIFFERS = 3
"""The exit status with `--exit-code` if something differs without an explanation."""


class Command(GatewayCommand):
    """Prints differences, and changes nothing."""

    help = (
        "Compare the sums of the log with its rows, its rows with the journal of this machine, and with --export the calls of an upstream "
        "with the usage that its provider exports (OpenAI, Anthropic, OpenRouter; JSON or CSV). Changes nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The time, the export, and the form."""
        parser.add_argument("--since", type=_moment, help="first day, for example 2026-11-01; default: all days in the log")
        parser.add_argument("--until", type=_moment, help="first day that is left out; default: none")
        parser.add_argument("--export", type=Path, help="a usage export by day and model; needs --upstream")
        parser.add_argument("--upstream", help="the name of the upstream to which the export belongs")
        parser.add_argument("--json", action="store_true", help="print one JSON object; numbers that may have fractions are strings")
        parser.add_argument("--exit-code", action="store_true", help=f"exit with {DIFFERS} if something differs without an explanation")

    def handle(self, *args: Any, **options: Any) -> None:
        """Compare, and print the differences."""
        differences = list(ledger.rollups_against_rows(options["since"], options["until"]))
        journal = ledger.rows_against_journal(settings.PXBIN.data_dir / SPOOL_DIRECTORY)
        lines, calls = _provider(options)
        report = {"rollups": differences, "journal": journal, "provider": lines, "unanswered": calls}
        if options["json"]:
            self.stdout.write(msgspec.json.encode(report).decode())
        else:
            self.stdout.write("\n".join(_text(differences, journal, lines, calls, with_provider=options["export"] is not None)))
        if options["exit_code"] and (differences or journal.missing or not all(line.is_explained for line in lines)):
            sys.exit(DIFFERS)


def _provider(options: dict[str, Any]) -> tuple[list[provider.Line], list[provider.Unanswered]]:
    path, name = options["export"], options["upstream"]
    if path is None:
        return [], []
    if not name:
        raise CommandError("--export needs --upstream, the name of the upstream whose bill it is")
    upstream = Upstream.objects.filter(name=name).first()
    if upstream is None:
        raise CommandError(f"There is no upstream {name!r}")
    try:
        billed = exports.read_export(path.read_bytes())
    except (OSError, exports.ExportError) as error:
        raise CommandError(f"{path}: {error}") from error
    first, last = options["since"], options["until"]
    billed = [row for row in billed if (first is None or row.day >= first.date()) and (last is None or row.day < last.date())]
    if not billed:
        raise CommandError(f"{path}: no usage in this time")
    days: list[date] = [row.day for row in billed]
    return provider.compare(upstream.pk, billed), provider.unanswered(upstream.pk, min(days), max(days), most=MOST_UNANSWERED)


def _text(
    differences: list[ledger.Difference],
    journal: ledger.JournalReport,
    lines: list[provider.Line],
    calls: list[provider.Unanswered],
    *,
    with_provider: bool,
) -> list[str]:
    text = [f"rollups and rows: {len(differences)} differences"]
    text += [
        f"  {one.bucket} {one.start:%Y-%m-%d %H:%M} {one.series}: {one.measure} is {one.rollup} in the rollups and {one.rows} in the rows"
        for one in differences
    ]
    text.append(
        f"rows and journal: {len(journal.missing)} missing rows, {journal.waiting} waiting lines, {journal.rejected} lines in quarantine"
    )
    text += [f"  missing: {log_id}" for log_id in journal.missing]
    if not with_provider:
        return text
    text.append(f"log and provider: {len(lines)} differences, {sum(not line.is_explained for line in lines)} without an explanation")
    text += [
        f"  {line.day} {line.model}: {line.quantity} {line.ours:f} here, {line.billed:f} billed, difference {line.difference:+f}"
        f" ± {line.error:.6f}{'' if line.is_explained else ' UNEXPLAINED'}"
        for line in lines
    ]
    text.append(f"calls without an answer that may have been billed: {len(calls)}")
    text += [f"  {call.timestamp:%Y-%m-%d %H:%M:%S} {call.remote_model} {call.outcome} {call.error_type}: {call.log_id}" for call in calls]
    return text


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"{text!r} is not a day such as 2026-11-01") from None

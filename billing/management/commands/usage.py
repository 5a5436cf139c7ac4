"""`manage.py usage`: what was used, by whom and for how much."""

from argparse import ArgumentTypeError
from datetime import UTC, datetime
from typing import Any

import msgspec
from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.common.commands import GatewayCommand
from accounts.models import ApiKey
from billing.reports import breakdowns, items, query, tags, windows
from billing.reports.query import Selection
from billing.reports.totals import Totals

BREAKDOWNS = ("key", "model", "upstream", "owner", "dialect", "status", "outcome", "error", "tag", "session")


class Command(GatewayCommand):
    """Prints sums of requests."""

    help = "Print requests, tokens and cost of a time, in total and by one dimension."

    def add_arguments(self, parser: CommandParser) -> None:
        """The time, the filters and the form."""
        parser.add_argument("--period", choices=list(windows.PERIODS), default="30d", help="the time until now; default: 30d")
        parser.add_argument("--since", type=_moment, help="first time, for example 2026-11-01 or 2026-11-01T12:00:00Z; overrules --period")
        parser.add_argument("--until", type=_moment, help="first time that is left out; default: now")
        parser.add_argument("--by", choices=BREAKDOWNS, default="model", help="what to list; default: model")
        parser.add_argument("--key", help="only requests of the client key of this name, prefix or id")
        parser.add_argument("--model", help="only requests of this model")
        parser.add_argument("--owner", help="only requests of this owner")
        parser.add_argument("--json", action="store_true", help="print one JSON object; amounts in USD are exact in the fields *_usd")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the report."""
        selection = Selection(_window(options), _values(options))
        total, rows = query.sum_up(selection), _rows(selection, options["by"])
        if options["json"]:
            start = datetime.fromtimestamp(selection.window.begin, UTC)
            body = {"from": start.isoformat(), "by": options["by"], **items.totals_item(total), "rows": rows}
            self.stdout.write(msgspec.json.encode(body).decode())
            return
        self.stdout.write("\n".join(_table(options["by"], rows, total)))


def _window(options: dict[str, Any]) -> windows.Window:
    now = timezone.now()
    since, until = options["since"], options["until"]
    if since is None and until is None:
        return windows.last(windows.PERIODS[options["period"]], now)
    since = since or (until - windows.PERIODS[options["period"]])
    if until is not None and until <= since:
        raise CommandError("--until must be later than --since")
    return windows.between(since, until, now)


def _values(options: dict[str, Any]) -> dict[str, list[Any]]:
    values: dict[str, list[Any]] = {name: [options[name]] for name in ("model", "owner") if options[name]}
    if options["key"]:
        wanted = options["key"]
        rows = ApiKey.objects.values_list("pk", "name", "key_prefix")
        values["key"] = [str(pk) for pk, *names in rows if wanted in (str(pk), *names)]
        if not values["key"]:
            raise CommandError(f"There is no client key {wanted!r}")
    return values


def _rows(selection: Selection, by: str) -> list[items.Item]:
    if by == "session":
        return [items.session_item(session) for session in breakdowns.by_session(selection)]
    if by == "tag":
        return [{"tag": f"{tag.key}:{tag.value}", **items.totals_item(totals)} for tag, totals in tags.by_tag(selection)]
    return [items.group_item(by, group) for group in breakdowns.by_dimension(selection, by)]


def _table(by: str, rows: list[items.Item], total: Totals) -> list[str]:
    named = [(_name(by, row), row) for row in rows]
    named.append(("total", items.totals_item(total)))
    width = max(len(name) for name, _ in named)
    lines = [f"{by:<{width}} {'requests':>10} {'errors':>8} {'tokens in':>14} {'cached':>14} {'tokens out':>14} {'USD':>18}"]
    lines += [
        f"{name:<{width}} {row['total_requests']:>10} {row['error_count']:>8} {row['total_input_tokens']:>14}"
        f" {row['total_cache_read_tokens']:>14} {row['total_output_tokens']:>14} {row['total_cost_usd']:>18}"
        for name, row in named
    ]
    if total.unpriced:
        lines.append(f"{total.unpriced} of {total.requests} requests have no price and are not in the cost")
    if total.estimated:
        lines.append(f"{total.estimated} of {total.requests} requests have estimated tokens")
    return lines


def _name(by: str, row: items.Item) -> str:
    fields = {"key": "key_name", "upstream": "upstream_name", "status": "status_code", "error": "error_type", "session": "session_id"}
    return str(row[fields.get(by, by)] or "(none)")


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ArgumentTypeError(f"{text!r} is not a time such as 2026-11-01 or 2026-11-01T12:00:00Z") from None

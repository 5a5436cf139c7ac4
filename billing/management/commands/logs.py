"""`manage.py logs [--follow] [--json]`: print the newest requests of the log, and go on with those that follow."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone

from accounts.common.api_envelope import ApiError
from accounts.common.commands import GatewayCommand
from billing.api.log_items import log_item
from billing.api.logs import filter_logs
from billing.models import RequestLog, RequestLogQuerySet

FILTERS = {
    "model": ("--model", "MODEL", "part of the model's name; % and _ are wildcards"),
    "status_code": ("--status", "CODE", "HTTP status; 400 means 400 to 499"),
    "outcome": ("--outcome", "OUTCOME", "finished, failed, cancelled or rejected"),
    "key_id": ("--key", "ID", "id of the client key"),
    "upstream_id": ("--upstream", "ID", "id of the upstream that was called last"),
    "request_id": ("--request-id", "ID", "the x-request-id"),
    "from": ("--since", "TIME", "RFC 3339, inclusive"),
    "to": ("--until", "TIME", "RFC 3339, inclusive"),
}
"""The filters of `/api/v1/logs`, each with its option."""
POLL_SECONDS = 0.5
LOAD_SHARE = 0.1
"""The largest share of the time in which queries of `--follow` may run."""
LONGEST_REQUEST = timedelta(hours=1)
"""Rows of requests that took longer are not followed: ids begin with the time at which a request began."""
OVERLAP = timedelta(seconds=10)
REMEMBERED_ROWS = 100_000


class Command(GatewayCommand):
    """Prints the request log."""

    help = "Print the newest requests of the log, the newest last. With --follow, print each further one until Ctrl-C."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which requests, and how they are printed."""
        parser.add_argument("-f", "--follow", action="store_true", help="go on with requests that are written from now on")
        parser.add_argument("-n", "--limit", type=int, default=20, metavar="N", help="how many of the newest to print first (default: 20)")
        for name, (option, metavar, text) in FILTERS.items():
            parser.add_argument(option, dest=name, metavar=metavar, help=text)
        parser.add_argument("--json", action="store_true", help="print one JSON object a line, as the management API returns a request")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print requests. Raises CommandError for an invalid filter."""
        if options["limit"] < 0:
            raise CommandError("--limit must be 0 or more")
        write = self._write_json_row if options["json"] else self._write_row
        try:
            rows = filter_logs({name: options[name] for name in FILTERS if options[name]})
        except ApiError as error:
            raise CommandError(error.message) from None
        began = timezone.now()
        seen = set(_recent(rows, began).values_list("pk", flat=True)) if options["follow"] else set()
        newest = list(rows.newest_first()[: options["limit"]])
        seen.update(row.pk for row in newest)
        for row in reversed(newest):
            write(row)
        self.stdout.flush()
        if options["follow"]:
            for row in _followed(rows, began, seen):
                write(row)
                self.stdout.flush()

    def _write_json_row(self, row: RequestLog) -> None:
        self.write_json(log_item(row))

    def _write_row(self, row: RequestLog) -> None:
        item = log_item(row)
        cells = [
            f"{row.timestamp:%Y-%m-%d %H:%M:%S}",
            str(item["status_code"]),
            f"{item['outcome']:9}",
            item["model"] or "-",
            f"-> {item['upstream_name'] or '-'}",
            f"key {item['key_name'] or item['key_prefix'] or '-'}",
            f"{row.input_tokens + row.cache_read_tokens + row.cache_creation_tokens}+{row.output_tokens} tokens",
            f"{item['cost_usd']} USD" if item["cost_usd"] is not None else "unpriced",
            f"{item['latency_ms']} ms",
            *([f"{item['error_type']}: {item['error_message']}"] if item["error_type"] else []),
        ]
        self.stdout.write("  ".join("".join(char if char.isprintable() else " " for char in cell) for cell in cells))


def _followed(rows: RequestLogQuerySet, written_after: datetime, seen: set[uuid.UUID]) -> Iterator[RequestLog]:
    """Rows that appear from now on, oldest first, each once. `seen`: the ids of rows that there were; none of others is older.

    Rows are written in batches and by several processes, so those of the last seconds are read again. The primary key bounds a query.
    """
    remembered: deque[uuid.UUID] = deque(seen)
    while True:
        query_began = time.monotonic()
        for row in _recent(rows, written_after).order_by("created_at", "id"):
            if row.pk not in seen:
                seen.add(row.pk)
                remembered.append(row.pk)
                written_after = max(written_after, row.created_at)
                yield row
        while len(remembered) > REMEMBERED_ROWS:
            seen.discard(remembered.popleft())
        time.sleep(max(POLL_SECONDS, (time.monotonic() - query_began) / LOAD_SHARE))


def _recent(rows: RequestLogQuerySet, moment: datetime) -> RequestLogQuerySet:
    """Rows written after a time, and in the seconds before it, in which other processes may still commit theirs."""
    return rows.filter(id__gte=_first_id(timezone.now() - LONGEST_REQUEST), created_at__gte=moment - OVERLAP)


def _first_id(moment: datetime) -> uuid.UUID:
    """The smallest UUID of version 7 of a time."""
    return uuid.UUID(int=int(moment.astimezone(UTC).timestamp() * 1000) << 80)

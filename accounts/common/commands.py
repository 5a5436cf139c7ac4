"""Base of management commands that need an initialised gateway, and how commands print tables, JSON and progress."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from django.apps import apps
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser, OutputWrapper
from django.db import connection

from accounts.common import running_command

Item = TypeVar("Item")

BAR_WIDTH = 24
REDRAW_SECONDS = 0.1
"""A progress bar is drawn at most so often."""


def connect_once() -> None:
    """Connect to PostgreSQL once, outside its pool, whose error would only be a timeout. Raises OperationalError with the cause."""
    if connection.vendor == "postgresql":
        with connection.wrap_database_errors:
            connection.Database.connect(**connection.get_connection_params()).close()  # type: ignore[attr-defined]  # psycopg


def is_set_up() -> bool:
    """Whether the database has the gateway's tables. A missing SQLite file is not created by the check."""
    if connection.vendor == "sqlite" and not Path(connection.settings_dict["NAME"]).exists():
        return False
    connect_once()
    table = apps.get_model("accounts", "ApiKey")._meta.db_table  # noqa: SLF001  (documented)
    return table in connection.introspection.table_names()


def require_gateway() -> None:
    """Raise CommandError if no gateway was ever started with this configuration."""
    if not is_set_up():
        config = settings.PXBIN
        location, setting = ("the database", "PXBIN_DATABASE_URL") if config.database_url else (config.data_dir, "PXBIN_DATA_DIR")
        raise CommandError(f"There is no gateway in {location} yet; start it once, or set {setting}")


def write_json(output: OutputWrapper, value: Any) -> None:
    """Print `value` as JSON on one line, at once."""
    output.write(json.dumps(value, ensure_ascii=False, default=str))
    output.flush()


class GatewayCommand(BaseCommand):
    """A command that needs the database of a gateway, and ends with a clear error if there is none."""

    def execute(self, *args: Any, **options: Any) -> str | None:
        require_gateway()
        with running_command.running(type(self).__module__.rpartition(".")[2]):
            return super().execute(*args, **options)

    def add_json_option(self, parser: CommandParser, shape: str) -> None:
        """Add `--json`. `shape` says what is printed, for example `one object`."""
        parser.add_argument("--json", action="store_true", help=f"print {shape} as JSON")

    def write_json(self, value: Any) -> None:
        """Print `value` as JSON on one line, at once."""
        write_json(self.stdout, value)

    def write_table(self, titles: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """Print rows in columns that are as wide as their longest cell; the last one is not filled up."""
        cells = [[_printable(cell) for cell in row] for row in (titles, *rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(titles))]
        for row in cells:
            self.stdout.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())

    def with_progress(self, items: Iterable[Item], total: int, subject: str) -> Iterator[Item]:
        """Yield `items`; on a terminal, draw a bar on standard error meanwhile. `subject`: what is counted, for example `models`."""
        if not self.stderr.isatty() or not total:
            yield from items
            return
        drawn = 0.0
        try:
            for number, item in enumerate(items):
                if (now := time.monotonic()) - drawn >= REDRAW_SECONDS:
                    drawn = now
                    self._draw(number, total, subject)
                yield item
        finally:
            self.stderr.write("\r\x1b[K", ending="")  # clears the line

    def _draw(self, number: int, total: int, subject: str) -> None:
        filled = BAR_WIDTH * number // total
        bar = "#" * filled + "-" * (BAR_WIDTH - filled)
        self.stderr.write(f"\r[{bar}] {number} of {total} {subject}\x1b[K", self.style.SUCCESS, ending="")
        self.stderr.flush()


def _printable(cell: object) -> str:
    """The text of a cell, without characters that would control the terminal."""
    text = "-" if cell is None or not str(cell) else str(cell)
    return "".join(character if character.isprintable() else "?" for character in text)

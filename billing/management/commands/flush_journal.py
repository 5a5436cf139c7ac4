"""`manage.py flush_journal`: write the segments of the spool into the log."""

from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from django.db import DatabaseError

from accounts.common.commands import GatewayCommand
from billing.request_log import journal, writer


class Command(GatewayCommand):
    """Writes complete segments, including those of killed processes."""

    help = "Write the complete segments of the journal, and those of killed processes, into the log."

    def add_arguments(self, parser: CommandParser) -> None:
        """How to report."""
        self.add_json_option(parser, "one object with the number of new rows")

    def handle(self, *args: Any, **options: Any) -> None:
        """Write; wait while another process writes. Raises CommandError if the database does not take the rows."""
        try:
            rows = writer.drain_spool(settings.PXBIN.data_dir / journal.SPOOL_DIRECTORY, wait=True)
        except DatabaseError as error:
            raise CommandError(f"The database did not take the rows; they stay in the spool: {error}") from error
        if options["json"]:
            self.write_json({"rows": rows})
        else:
            self.stdout.write(f"{rows} new rows")

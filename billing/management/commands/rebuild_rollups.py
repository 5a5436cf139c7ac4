"""`manage.py rebuild_rollups`: make the sums of the log again from its rows."""

from datetime import datetime
from typing import Any

from accounts.common.commands import GatewayCommand
from billing.rollups import rebuild


class Command(GatewayCommand):
    """Replaces sums. The gateway may run; its writer waits while a day is summed up."""

    help = (
        "Make the sums of the request log again from its rows, day by day. "
        "Sums of hours whose rows have been deleted by the retention stay as they are."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Rebuild, with a line for each day."""
        report = rebuild.rebuild(self._print_day)
        self.stdout.write(f"{report.requests} requests of {report.days} days")

    def _print_day(self, day: datetime, requests: int) -> None:
        self.stdout.write(f"{day:%Y-%m-%d}: {requests} requests")

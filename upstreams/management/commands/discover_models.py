"""`manage.py discover_models`: take up what upstreams list now."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from upstreams.models import Upstream
from upstreams.monitoring import discovery


class Command(GatewayCommand):
    """Make models of new names, and mark the routes to names that an upstream lists no longer."""

    help = "List the models of upstreams: new ones are made, vanished ones are marked and never deleted."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which upstreams."""
        parser.add_argument("names", nargs="*", help="names of upstreams; all active ones without any")

    def handle(self, *args: Any, **options: Any) -> None:
        """Ask each one, and say what came of it."""
        rows = Upstream.objects.filter(is_active=True).order_by("name")
        if options["names"]:
            rows = rows.filter(name__in=options["names"])
            missing = set(options["names"]) - {row.name for row in rows}
            if missing:
                raise CommandError(f"There is no active upstream {', '.join(sorted(missing))}")
        failed = []
        for row in rows:
            try:
                counts = discovery.discover(row)
            except discovery.DiscoveryFailed as failure:
                self.stderr.write(f"{row.name}: {failure}")
                failed.append(row.name)
                continue
            self.stdout.write(f"{row.name}: {counts['created']} new, {counts['vanished']} vanished, {counts['returned']} returned")
        if failed:
            raise CommandError(f"No models from {', '.join(failed)}")

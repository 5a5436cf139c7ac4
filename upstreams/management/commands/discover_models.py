"""`manage.py discover_models`: create models for what upstreams list."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from upstreams.models import Upstream
from upstreams.monitoring import discovery


class Command(GatewayCommand):
    """Discovery by hand, for all or some upstreams."""

    help = "List the models of upstreams. New models are created; routes to models that are not listed any more are marked, not deleted."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("names", nargs="*", help="names of upstreams; without names all active ones")

    def handle(self, *args: Any, **options: Any) -> None:
        """Discover the models of each upstream and print the numbers; fails at the end if any upstream failed."""
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

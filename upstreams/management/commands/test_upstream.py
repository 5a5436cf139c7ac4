"""`manage.py test_upstream NAME`: call an upstream and say whether it works."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from upstreams.management import upstream_argument
from upstreams.monitoring import health_check


class Command(GatewayCommand):
    """A health check by hand. As a scheduled one does, it enables credentials that work and disables refused ones."""

    help = "List the models of an upstream and ask its test model for one token, with each of its keys. The exit code is 1 if it fails."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which upstream."""
        parser.add_argument("name", metavar="NAME|ID", help=upstream_argument.HELP)
        self.add_json_option(parser, "the result, as the management API returns it,")

    def handle(self, *args: Any, **options: Any) -> None:
        """Test it and print the result. Raises CommandError if it is not healthy."""
        row = upstream_argument.find_upstream(options["name"])
        report = health_check.check(row)
        if options["json"]:
            self.write_json({"upstream": row.name, **report})
        else:
            for credential in report["keys"]:
                self.stdout.write(f"key {credential['name'] or credential['id']}: {credential['error'] or 'works'}")
            if report["healthy"]:
                tested = f"{report['tested_model']} answered in {report['latency_ms']} ms" if report["tested_model"] else "it answers"
                self.stdout.write(f"{row.name} works: {report['models_found']} models, {tested}")
        if not report["healthy"]:
            raise CommandError(f"{row.name} does not work: {report['error']}")

"""`manage.py import_models NAME MODEL…`: create models that an upstream serves."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from upstreams.management import upstream_argument
from upstreams.monitoring import discovery


class Command(GatewayCommand):
    """Imports models by name, as `POST /api/v1/models/import` does."""

    help = "Create models with a route to an upstream. Names that exist already are skipped; the upstream is not called."

    def add_arguments(self, parser: CommandParser) -> None:
        """The upstream and the names."""
        parser.add_argument("name", metavar="NAME|ID", help=upstream_argument.HELP)
        parser.add_argument("models", metavar="MODEL", nargs="+", help="the upstream's name of a model; it becomes the name for clients")
        self.add_json_option(parser, "one object with the names that were created and skipped")

    def handle(self, *args: Any, **options: Any) -> None:
        """Create them and print the names. Raises CommandError for an unknown upstream, and if a name cannot be a model's."""
        row = upstream_argument.find_upstream(options["name"])
        if unsuitable := [name for name in options["models"] if "*" in name or not name.strip()]:
            raise CommandError(f"Not the name of one model: {', '.join(map(repr, unsuitable))}")
        imported = discovery.import_models(row, [name.strip() for name in options["models"]])
        if options["json"]:
            self.write_json({"upstream": row.name, "created": imported.created, "skipped": imported.skipped})
            return
        self.stdout.write(f"{row.name}: {len(imported.created)} created, {len(imported.skipped)} skipped")
        for title, names in (("created", imported.created), ("skipped, because the name is taken", imported.skipped)):
            if names:
                self.stdout.write(f"  {title}: {', '.join(names)}")

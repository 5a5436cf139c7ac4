"""`manage.py discover_models [NAME …] [--import]`: list the models of upstreams, and create models for what they list."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from upstreams.management import upstream_argument
from upstreams.models import Upstream
from upstreams.monitoring import discovery


class Command(GatewayCommand):
    """Discovery by hand, for all or some upstreams."""

    help = (
        "List the models of the named upstreams. With --import, or without names for all active upstreams: create the models that are "
        "new; routes to models that are not listed any more are marked, not deleted. The exit code is 1 if no upstream could be listed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Which upstreams, and whether to import."""
        parser.add_argument("names", metavar="NAME|ID", nargs="*", help=f"{upstream_argument.HELP}; without any, all active ones")
        parser.add_argument("--import", action="store_true", dest="imports", help="create the models that are new")
        self.add_json_option(parser, "one array with an object for each upstream")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the models or the numbers of each upstream. Raises CommandError if all upstreams failed, and for an unknown name."""
        rows = [upstream_argument.find_upstream(name) for name in options["names"]] or list(
            Upstream.objects.filter(is_active=True).order_by("name")
        )
        imports = options["imports"] or not options["names"]
        results = []
        for row in self.with_progress(rows, len(rows), "upstreams"):
            result = {"upstream": row.name, "id": str(row.pk), **_result(row, imports=imports)}
            results.append(result)
            if not options["json"]:
                self._print(result)
        if options["json"]:
            self.write_json(results)
        _raise_if_all_failed(results)

    def _print(self, result: dict[str, Any]) -> None:
        if result["error"] is not None:
            self.stderr.write(f"{result['upstream']}: {result['error']}")
        elif "models" in result:
            self.stdout.write(f"{result['upstream']}: {len(result['models'])} models")
            for model in result["models"]:
                self.stdout.write(f"  {model['id']}")
        else:
            self.stdout.write("{upstream}: {created} new, {vanished} vanished, {returned} returned".format(**result))


def _result(row: Upstream, *, imports: bool) -> dict[str, Any]:
    """The counts of an import, or the models of a list; `error` says why there are none."""
    try:
        if imports:
            return {"error": None, **discovery.discover(row)}
        listed = discovery.list_models(row)
    except discovery.DiscoveryFailed as failure:
        return {"error": str(failure)}
    return {"error": None, "models": [{"id": model.name, "owned_by": model.provider} for model in listed]}


def _raise_if_all_failed(results: Sequence[dict[str, Any]]) -> None:
    failed = [result["upstream"] for result in results if result["error"] is not None]
    if failed and len(failed) == len(results):
        raise CommandError(f"No models from {', '.join(failed)}")

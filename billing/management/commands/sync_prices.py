"""`manage.py sync_prices`: look every model up in price data."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from billing.pricing import sources as price_sources
from billing.pricing import sync


class Command(GatewayCommand):
    """Fill the price book. Prices that were entered by hand stay."""

    help = "Give every model the prices that the bundled data know, and, for the others, those of a LiteLLM price file."

    def add_arguments(self, parser: CommandParser) -> None:
        """A second source, if any."""
        source = parser.add_mutually_exclusive_group()
        source.add_argument("--file", type=Path, help="a file in the format of LiteLLM's price file")
        source.add_argument("--url", help="where to fetch such a file")

    def handle(self, *args: Any, **options: Any) -> None:
        """Look up, and say how many were found."""
        sources = list(sync.BUNDLED)
        try:
            if options["file"]:
                sources.append(price_sources.litellm(options["file"].read_bytes(), version=options["file"].name))
            elif options["url"]:
                sources.append(price_sources.litellm(price_sources.fetch(options["url"]), version=options["url"]))
        except (OSError, ValueError, price_sources.FetchFailed) as error:
            raise CommandError(str(error)) from error
        counts = sync.sync(sources)
        self.stdout.write(
            f"{counts['models_updated']} of {counts['total_models']} models have prices, {counts['models_not_found']} are unknown"
        )

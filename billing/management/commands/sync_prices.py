"""`manage.py sync_prices`: update the prices of all models from price data."""

from functools import partial
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from billing.pricing import price_file, sync
from billing.pricing.fetch import FetchFailed, fetch_price_file
from billing.pricing.litellm import litellm_source
from upstreams.models import Model


class Command(GatewayCommand):
    """Updates prices. Prices that were entered by hand stay as they are."""

    help = (
        "Update the prices of all models from the lists of their upstreams, the file of PXBIN_PRICE_URL and the bundled data, "
        "and those of other models from a LiteLLM price file if one is given."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """Options for a second source."""
        source = parser.add_mutually_exclusive_group()
        source.add_argument("--file", type=Path, help="a file in the format of LiteLLM's price file")
        source.add_argument("--url", help="the address of such a file")
        self.add_json_option(parser, "the numbers of models, as the management API returns them,")

    def handle(self, *args: Any, **options: Any) -> None:
        """Update, and print the counts. Raises CommandError if the price file cannot be read."""
        sources = list(sync.SOURCES)
        try:
            price_file.refresh()
            if options["file"]:
                sources.append(litellm_source(options["file"].read_bytes(), version=options["file"].name))
            elif options["url"]:
                sources.append(litellm_source(fetch_price_file(options["url"]), version=options["url"]))
        except (OSError, ValueError, FetchFailed) as error:
            raise CommandError(str(error)) from error
        counts = sync.sync_all(sources, progress=partial(self.with_progress, total=Model.objects.count(), subject="models"))
        if options["json"]:
            self.write_json(counts)
        else:
            self.stdout.write(
                f"{counts['models_updated']} of {counts['total_models']} models have prices, {counts['models_not_found']} are unknown"
            )

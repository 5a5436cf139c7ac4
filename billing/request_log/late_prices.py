"""Prices for log entries that had none when their request ended."""

from __future__ import annotations

import time
from collections.abc import Sequence

from billing.pricing import price_book, sync
from billing.pricing.price_book import PriceKey
from billing.pricing.sources import PriceSource
from billing.rates import Prices
from billing.request_log.entry import LogEntry, cost_in_pico, usage_of_entry

CACHE_SECONDS = 60.0


class LatePrices:
    """Finds prices for entries that have none: of models that are patterns, remote names are priced when they first occur.

    Used by the writer, so that no request waits for price data. Results, also negative ones, are cached for a minute.
    """

    def __init__(self, sources: Sequence[PriceSource] = sync.BUNDLED) -> None:
        self._sources = sources
        self._cache: dict[PriceKey, Prices | None] = {}
        self._cached_until = 0.0

    def fill(self, entries: Sequence[LogEntry]) -> None:
        """Set cost, price id and price version of the entries whose price can be found."""
        for entry in entries:
            if entry.cost is None and entry.remote_model and entry.upstream_id and (entry.input_tokens or entry.output_tokens):
                prices = self._find(PriceKey(entry.model_id or "", entry.upstream_id, entry.remote_model))
                if prices is not None:
                    entry.cost = cost_in_pico(usage_of_entry(entry), prices)
                    entry.price_id, entry.price_version = prices.id or None, prices.version

    def _find(self, key: PriceKey) -> Prices | None:
        if time.monotonic() > self._cached_until:
            self._cache.clear()
            self._cached_until = time.monotonic() + CACHE_SECONDS
        if key not in self._cache:
            self._cache[key] = price_book.load().find(key) or sync.price_remote_model(key.upstream_id, key.remote_name, self._sources)
        return self._cache[key]

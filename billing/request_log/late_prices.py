"""Prices for log entries that had none when their request ended."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from billing.log_columns import CostSource
from billing.pricing import price_book, sync
from billing.pricing.price_book import PriceKey
from billing.pricing.sources import PriceSource
from billing.rates import Prices
from billing.request_log.entry import AttemptEntry, LogEntry, cost_in_pico
from billing.request_log.usage_columns import usage_of_attempt, usage_of_row

CACHE_SECONDS = 60.0


class LatePrices:
    """Finds prices for entries that have none: of models that are patterns, remote names are priced when they first occur.

    Used by the writer, so that no request waits for price data. Results, also negative ones, are cached for a minute.
    """

    def __init__(self, sources: Sequence[PriceSource] | None = None) -> None:
        self._sources = sources
        self._cache: dict[PriceKey, Prices | None] = {}
        self._cached_until = 0.0

    def fill(self, entries: Sequence[LogEntry]) -> None:
        """Set cost, price id and price version of the entries whose price can be found."""
        for entry in entries:
            if (
                (entry.cost is None or entry.cost_source == CostSource.REPORTED)
                and entry.remote_model
                and entry.upstream_id
                and (entry.input_tokens or entry.output_tokens)
            ):
                if len(entry.tries) > 1:
                    self._fill_attempts(entry)
                else:
                    self._fill_one(entry)

    def _fill_one(self, entry: LogEntry) -> None:
        prices = self._find(PriceKey(entry.model_id or "", entry.upstream_id or "", entry.remote_model))
        if prices is None:
            return
        cost = cost_in_pico(usage_of_row(entry), prices, partial(self._price_of, entry.upstream_id or ""))
        if cost is not None:
            entry.cost, entry.cost_source = cost, CostSource.PRICE
            entry.price_id, entry.price_version = prices.id or None, prices.version
            for attempt in entry.tries:
                attempt.cost, attempt.price_id = cost, entry.price_id

    def _fill_attempts(self, entry: LogEntry) -> None:
        """Rate each attempt without a cost of its own; the entry costs their sum once all are known."""
        used = [attempt for attempt in entry.tries if attempt.upstream_id and (attempt.input_tokens or attempt.output_tokens)]
        for attempt in used:
            if attempt.cost is None:
                self._fill_attempt(entry, attempt)
        costs = [attempt.cost for attempt in used if attempt.cost is not None]
        if entry.cost is None and costs and len(costs) == len(used):
            entry.cost, entry.cost_source = sum(costs), CostSource.PRICE

    def _fill_attempt(self, entry: LogEntry, attempt: AttemptEntry) -> None:
        upstream_id = attempt.upstream_id or ""
        model_id = entry.model_id if attempt is entry.tries[-1] else None  # the others may have been of a fallback's model
        prices = self._find(PriceKey(model_id or "", upstream_id, attempt.remote_model))
        if prices is not None:
            attempt.cost = cost_in_pico(usage_of_attempt(attempt), prices, partial(self._price_of, upstream_id))
            attempt.price_id = prices.id or None
            entry.price_id, entry.price_version = attempt.price_id, prices.version

    def _price_of(self, upstream_id: str, remote_name: str) -> Prices | None:
        return self._find(PriceKey("", upstream_id, remote_name))

    def _find(self, key: PriceKey) -> Prices | None:
        if time.monotonic() > self._cached_until:
            self._cache.clear()
            self._cached_until = time.monotonic() + CACHE_SECONDS
        if key not in self._cache:
            self._cache[key] = price_book.load().find(key) or sync.price_remote_model(key.upstream_id, key.remote_name, self._sources)
        return self._cache[key]

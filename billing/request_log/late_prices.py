"""Prices for log entries that had none when their request ended."""

from __future__ import annotations

import time
from collections.abc import Sequence

from billing.pricing import price_book, sync
from billing.pricing.sources import Source
from billing.rates import Prices
from billing.request_log.entry import LogEntry, cost_in_pico, usage_of_entry

FORGET_SECONDS = 60.0


class LatePrices:
    """Prices for entries that had none: names that came through a pattern are looked up when they first turn up.

    Used by the writer, so that no request ever waits for price data.
    """

    def __init__(self, sources: Sequence[Source] = sync.BUNDLED) -> None:
        self._sources = sources
        self._known: dict[tuple[str, str, str], Prices | None] = {}
        self._forget_at = 0.0

    def fill(self, entries: Sequence[LogEntry]) -> None:
        """Set the cost of those entries whose price can be found."""
        for entry in entries:
            if entry.cost is None and entry.remote_model and entry.upstream_id and (entry.input_tokens or entry.output_tokens):
                self._fill(entry, entry.upstream_id)

    def _fill(self, entry: LogEntry, upstream_id: str) -> None:
        if time.monotonic() > self._forget_at:
            self._known.clear()
            self._forget_at = time.monotonic() + FORGET_SECONDS
        place = (entry.model_id or "", upstream_id, entry.remote_model)
        if place not in self._known:
            self._known[place] = price_book.load().find(*place) or sync.discover(upstream_id, entry.remote_model, self._sources)
        found = self._known[place]
        if found is not None:
            entry.cost = cost_in_pico(usage_of_entry(entry), found)
            entry.price_id, entry.price_version = found.id or None, found.version

"""What a provider's prompt cache saved: the price of cached tokens as fresh input, less what reading and writing them cost."""

from __future__ import annotations

import time
from decimal import Decimal

from billing.log_columns import LogColumns
from billing.models import Price
from upstreams.models import Upstream

_PICO_PER_TOKEN = 1_000_000
"""A rate of 1 USD per million tokens, in pico-dollars per token."""
CACHE_SECONDS = 60.0


class Savings:
    """Computes savings by the base rates of the price that a request was billed at: an estimate, because tiers do not count.

    Rates are cached for a minute.
    """

    def __init__(self) -> None:
        self._rates: dict[tuple[str, str | None], tuple[int, int, int]] = {}
        self._cached_until = 0.0

    def of(self, entry: LogColumns) -> int:
        """Pico-dollars; below 0 if writing the cache cost more than reading it saved, 0 if the price is unknown."""
        if (
            not entry.price_id
            or not entry.cost
            or not (entry.cache_read_tokens or entry.cache_write_5m_tokens or entry.cache_write_1h_tokens)
        ):
            return 0
        key = (entry.price_id, entry.upstream_id)
        rates = self._rates.get(key)
        if rates is None:
            if time.monotonic() > self._cached_until:
                self._rates.clear()
                self._cached_until = time.monotonic() + CACHE_SECONDS
            rates = self._rates[key] = _read(*key)
        read, written_5m, written_1h = rates
        return entry.cache_read_tokens * read + entry.cache_write_5m_tokens * written_5m + entry.cache_write_1h_tokens * written_1h


def _read(price_id: str, upstream_id: str | None) -> tuple[int, int, int]:
    """What one token read, written for 5 minutes and written for 1 hour saves, in pico-dollars."""
    price = Price.objects.filter(pk=price_id).first()
    if price is None or price.input is None:
        return 0, 0, 0
    factors = Upstream.objects.filter(pk=upstream_id).values_list("price_factor", flat=True) if upstream_id else ()
    factor = next(iter(factors), Decimal(1))
    read = price.input if price.cache_read is None else price.cache_read
    written_5m = price.input if price.cache_write_5m is None else price.cache_write_5m
    written_1h = written_5m if price.cache_write_1h is None else price.cache_write_1h
    saved = [int((price.input - rate) * factor * _PICO_PER_TOKEN) for rate in (read, written_5m, written_1h)]
    return saved[0], saved[1], saved[2]

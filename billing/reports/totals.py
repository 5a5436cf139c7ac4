"""The sums of a report, and the rates and means that follow from them. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from decimal import Decimal

import msgspec

from billing.money import from_pico
from billing.rollup_models import MEASURES

MICRO = 1_000_000
ENDS = ("errors", "failed", "cancelled", "rejected")
"""Numbers of requests by how they ended: with a status of 400 or more, and by outcome."""


class Totals(msgspec.Struct, kw_only=True):
    """Sums of requests. The fields are `MEASURES` and `ENDS`, where they are described."""

    requests: int = 0
    attempts: int = 0
    priced: int = 0
    free: int = 0
    unpriced: int = 0
    estimated: int = 0
    input_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    input_audio_tokens: int = 0
    output_audio_tokens: int = 0
    input_image_tokens: int = 0
    output_image_tokens: int = 0
    server_tool_calls: int = 0
    cost_micro: int = 0
    cost_rest: int = 0
    saved_micro: int = 0
    saved_rest: int = 0
    latency_ms: int = 0
    overhead_us: int = 0
    ttft_ms: int = 0
    ttft_count: int = 0
    errors: int = 0
    failed: int = 0
    cancelled: int = 0
    rejected: int = 0

    @property
    def cost(self) -> Decimal:
        """USD, exactly; unpriced requests count as nothing."""
        return from_pico(self.cost_micro * MICRO + self.cost_rest)

    @property
    def saved(self) -> Decimal:
        """USD that the providers' caches saved, less what writing them cost."""
        return from_pico(self.saved_micro * MICRO + self.saved_rest)

    @property
    def cache_write_tokens(self) -> int:
        """Tokens written to a cache, for any time."""
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens

    @property
    def tokens(self) -> int:
        """All tokens: input of every kind, and output."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens + self.output_tokens

    @property
    def cache_hit_rate(self) -> float:
        """The share of tokens read from a cache in those read or fresh, from 0 to 1."""
        return _share(self.cache_read_tokens, self.input_tokens + self.cache_read_tokens)

    @property
    def error_rate(self) -> float:
        """The share of errors, from 0 to 1."""
        return _share(self.errors, self.requests)

    @property
    def avg_latency_ms(self) -> int:
        """The mean latency in milliseconds."""
        return round(_share(self.latency_ms, self.requests))

    @property
    def avg_overhead_us(self) -> int:
        """The mean overhead in microseconds."""
        return round(_share(self.overhead_us, self.requests))

    @property
    def avg_ttft_ms(self) -> int:
        """The mean time to the first token in milliseconds, of the requests that have one."""
        return round(_share(self.ttft_ms, self.ttft_count))


FIELDS = (*MEASURES, *ENDS)
"""The fields of `Totals`, in the order of the columns of queries."""


def from_values(values: Sequence[int | None]) -> Totals:
    """Totals of the values of `FIELDS`, in their order; sums of no rows are `None`."""
    return Totals(**{name: value or 0 for name, value in zip(FIELDS, values, strict=True)})


def add(parts: Iterable[Totals]) -> Totals:
    """The sum of totals."""
    total = Totals()
    for part in parts:
        for name in FIELDS:
            setattr(total, name, getattr(total, name) + getattr(part, name))
    return total


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0

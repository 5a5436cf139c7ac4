"""Sum up log entries by bucket of time and dimensions, before anything is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator
from typing import NamedTuple

from billing.log_columns import LogColumns
from billing.rollup_models import MEASURES
from billing.rollups.counting import Counting
from billing.rollups.histogram import Histogram, bin_of
from billing.rollups.series import Dimensions, Series, dimensions_of, margins_of, series_id

FIVE_MINUTES, HOUR, DAY = 300, 3600, 86_400
RESOLUTIONS = (FIVE_MINUTES, HOUR, DAY)
"""The lengths of buckets in seconds. A longer one is the sum of shorter ones; it is stored so that reports over months are quick."""
MICRO = 1_000_000

Amounts = tuple[int, ...]
"""The values of `MEASURES`, in their order."""


class Bucket(NamedTuple):
    """A bucket of time: its length in seconds, and its start in Unix seconds."""

    seconds: int
    start: int


class Distribution(NamedTuple):
    """The histograms of one value of one dimension in one bucket."""

    latency_ms: Histogram
    overhead_us: Histogram
    ttft_ms: Histogram

    def add(self, other: Distribution) -> None:
        """Add the counts of another one."""
        for mine, others in zip(self, other, strict=True):
            mine.update(others)


def _count(bins: list[int], sign: int) -> Histogram:
    counts = Counter(bins)
    return counts if sign > 0 else Counter({index: -count for index, count in counts.items()})


def buckets_of(moment: int) -> list[Bucket]:
    """The buckets of a moment in Unix seconds, the shortest first."""
    return [Bucket(seconds, moment - moment % seconds) for seconds in RESOLUTIONS]


def _empty() -> Distribution:
    return Distribution(Counter(), Counter(), Counter())


class _Group:
    """The requests of one bucket and one combination of dimensions, before they are summed up."""

    __slots__ = ("amounts", "entry", "first_tokens", "latencies", "overheads", "tags")

    def __init__(self, entry: LogColumns, tags: str) -> None:
        self.entry = entry
        self.tags = tags
        self.amounts: list[Amounts] = []
        self.latencies: list[int] = []
        self.overheads: list[int] = []
        self.first_tokens: list[int] = []


class Sums:
    """Sums of requests: amounts by bucket and series, and distributions by bucket, dimension and value."""

    def __init__(self) -> None:
        self.series: dict[int, Series] = {}
        self._ids: dict[Dimensions, int] = {}
        self.amounts: dict[tuple[Bucket, int], Amounts] = {}
        self.distributions: dict[tuple[Bucket, str, str], Distribution] = {}

    def add(self, entries: Iterable[LogColumns], counting: Counting, *, sign: int = 1) -> None:
        """Add requests to all buckets, or take them away with `sign` -1."""
        groups: dict[Hashable, _Group] = {}
        for entry in entries:
            tags = counting.tags_of(entry) if entry.tags else ""
            key = (
                entry.timestamp // (FIVE_MINUTES * MICRO), entry.api_key_id, entry.counted_model, entry.upstream_id, entry.dialect,
                entry.owner, entry.status_code, entry.outcome, entry.error_type, tags,
            )  # fmt: skip
            group = groups.get(key)
            if group is None:
                group = groups[key] = _Group(entry, tags)
            group.amounts.append(amounts_of(entry, counting.saving_of(entry) if entry.price_id else 0))
            group.latencies.append(bin_of(entry.latency_ms))
            group.overheads.append(bin_of(entry.overhead_us))
            if entry.ttft_ms is not None:
                group.first_tokens.append(bin_of(entry.ttft_ms))
        self._add_groups(groups.values(), sign)

    def _add_groups(self, groups: Iterable[_Group], sign: int) -> None:
        numbers: dict[tuple[int, str, str], tuple[list[int], list[int], list[int]]] = {}
        for group in groups:
            entry, dimensions = group.entry, dimensions_of(group.entry, group.tags)
            amounts = [sign * sum(values) for values in zip(*group.amounts, strict=True)]
            moment = entry.timestamp // MICRO
            buckets = buckets_of(moment)
            for counted in (dimensions, *margins_of(dimensions)):
                identity = self._identify(counted, entry)
                for bucket in buckets:
                    self.add_amounts((bucket, identity), amounts)
            moment -= moment % FIVE_MINUTES
            for dimension, value in distributed_by(dimensions):
                latencies, overheads, first_tokens = numbers.setdefault((moment, dimension, value), ([], [], []))
                latencies += group.latencies
                overheads += group.overheads
                first_tokens += group.first_tokens
        for (moment, dimension, value), lists in numbers.items():
            distribution = Distribution(*(_count(bins, sign) for bins in lists))
            for bucket in buckets_of(moment):
                self.add_distribution((bucket, dimension, value), distribution)

    def _identify(self, dimensions: Dimensions, entry: LogColumns) -> int:
        """The id of a series, which is noted with the names of its key and upstream."""
        identity = self._ids.get(dimensions)
        if identity is None:
            identity = self._ids[dimensions] = series_id(dimensions)
            key = (entry.key_prefix, entry.key_name) if dimensions.api_key_id else ("", "")
            self.series[identity] = Series(identity, dimensions, *key, entry.upstream_name if dimensions.upstream_id else "")
        return identity

    def add_distribution(self, key: tuple[Bucket, str, str], distribution: Distribution) -> None:
        """Add the distribution of one value of one dimension in one bucket."""
        earlier = self.distributions.get(key)
        if earlier is None:
            earlier = self.distributions[key] = _empty()
        earlier.add(distribution)

    def add_amounts(self, key: tuple[Bucket, int], amounts: Iterable[int]) -> None:
        """Add amounts of one series in one bucket."""
        earlier = self.amounts.get(key)
        self.amounts[key] = tuple(amounts) if earlier is None else tuple(map(int.__add__, earlier, amounts))


def distributed_by(dimensions: Dimensions) -> Iterator[tuple[str, str]]:
    """The dimensions with distributions of their own, each with the value of a request; those without a value are left out."""
    yield "", ""
    values = (
        ("key", dimensions.api_key_id),
        ("model", dimensions.model),
        ("upstream", dimensions.upstream_id),
        ("owner", dimensions.owner),
    )
    for dimension, value in values:
        if value:
            yield dimension, value


def amounts_of(entry: LogColumns, saved: int) -> Amounts:
    """The values of `MEASURES` for one request. `saved`: what the cache saved, in pico-dollars."""
    cost = entry.cost
    is_used = bool(
        entry.input_tokens or entry.output_tokens or entry.cache_read_tokens or entry.cache_write_5m_tokens
        or entry.cache_write_1h_tokens or entry.server_tool_use
    )  # fmt: skip
    return (
        1,
        entry.attempts,
        1 if cost else 0,
        1 if cost == 0 and is_used else 0,
        1 if cost is None and is_used else 0,
        1 if entry.usage_estimated else 0,
        entry.input_tokens,
        entry.cache_read_tokens,
        entry.cache_write_5m_tokens,
        entry.cache_write_1h_tokens,
        entry.output_tokens,
        entry.reasoning_tokens,
        entry.input_audio_tokens,
        entry.output_audio_tokens,
        entry.input_image_tokens,
        entry.output_image_tokens,
        sum(entry.server_tool_use.values()) if entry.server_tool_use else 0,
        cost // MICRO if cost else 0,
        cost % MICRO if cost else 0,
        saved // MICRO,
        saved % MICRO,
        entry.latency_ms,
        entry.overhead_us,
        entry.ttft_ms or 0,
        0 if entry.ttft_ms is None else 1,
    )


assert len(MEASURES) == 25, "`amounts_of` has the value of each measure"

"""What the rollups should hold, computed from the rows of the log by plain loops."""

import json
from collections import Counter
from typing import Any

from billing.models import RequestLog, Rollup, RollupHistogram, RollupSeries
from billing.rollup_models import MEASURES
from billing.rollups import histogram
from billing.rollups.accumulate import RESOLUTIONS

TOKENS = [name for name in MEASURES if name.endswith("_tokens")]


def cost(row: Any) -> int:
    """The cost of a row in pico-dollars."""
    return int((row.cost or 0) * 10**12)


def text(tags: dict[str, str] | None) -> str:
    """The tags of a row as a dimension."""
    return json.dumps(tags, sort_keys=True, separators=(",", ":")) if tags else ""


def from_rows() -> dict[tuple[Any, ...], Counter[str]]:
    """Sums by bucket and dimensions."""
    sums: dict[tuple[Any, ...], Counter[str]] = {}
    for row in RequestLog.objects.all():
        for seconds in RESOLUTIONS:
            start = int(row.timestamp.timestamp()) // seconds * seconds
            key = (
                seconds,
                start,
                row.api_key_id,
                row.counted_model,
                row.upstream_id,
                row.owner,
                row.status_code,
                row.outcome,
                text(row.tags),
            )
            one = sums.setdefault(key, Counter())
            one.update({name: getattr(row, name) for name in (*TOKENS, "attempts", "latency_ms", "overhead_us")})
            one.update({"requests": 1, "cost": cost(row), "ttft_ms": row.ttft_ms or 0, "ttft_count": row.ttft_ms is not None})
            used = any(getattr(row, name) for name in TOKENS)
            one.update({"priced": cost(row) > 0, "free": row.cost == 0 and used, "unpriced": row.cost is None and used})
            one.update({"estimated": row.usage_estimated})
    return {key: +one for key, one in sums.items()}


def combinations(seconds: int) -> Any:
    """The rollups of one length of the series that combine all dimensions."""
    return Rollup.objects.filter(seconds=seconds, series_id__in=RollupSeries.objects.filter(scope="").values("pk"))


def margins() -> dict[tuple[Any, ...], Counter[str]]:
    """The sums of the series of one dimension, by scope, bucket and the value of the dimension."""
    sums: dict[tuple[Any, ...], Counter[str]] = {}
    series = {one.pk: one for one in RollupSeries.objects.exclude(scope="")}
    for rollup in Rollup.objects.filter(series_id__in=series):
        of = series[rollup.series_id]
        values = {"all": None, "key": of.api_key_id, "model": of.model, "upstream": of.upstream_id, "owner": of.owner}
        one = sums.setdefault((of.scope, rollup.seconds, rollup.start, values[of.scope]), Counter())
        one.update({"requests": rollup.requests, "cost": rollup.cost_micro * 10**6 + rollup.cost_rest, "latency_ms": rollup.latency_ms})
    return {key: +one for key, one in sums.items() if +one}


def margins_of_rows() -> dict[tuple[Any, ...], Counter[str]]:
    """The same of the rows."""
    sums: dict[tuple[Any, ...], Counter[str]] = {}
    for row in RequestLog.objects.all():
        values = {"all": None, "key": row.api_key_id, "model": row.counted_model, "upstream": row.upstream_id, "owner": row.owner}
        for seconds in RESOLUTIONS:
            start = int(row.timestamp.timestamp()) // seconds * seconds
            for scope, value in values.items():
                one = sums.setdefault((scope, seconds, start, value), Counter())
                one.update({"requests": 1, "cost": cost(row), "latency_ms": row.latency_ms})
    return {key: +one for key, one in sums.items()}


def from_rollups() -> dict[tuple[Any, ...], Counter[str]]:
    """The same of the stored rollups."""
    series = {one.pk: one for one in RollupSeries.objects.filter(scope="")}
    sums: dict[tuple[Any, ...], Counter[str]] = {}
    for rollup in Rollup.objects.filter(series_id__in=series):
        of = series[rollup.series_id]
        key = (rollup.seconds, rollup.start, of.api_key_id, of.model, of.upstream_id, of.owner, of.status_code, of.outcome, of.tags)
        one = sums.setdefault(key, Counter())
        one.update({name: getattr(rollup, name) for name in MEASURES if not name.startswith(("cost", "saved", "server"))})
        one.update({"cost": rollup.cost_micro * 10**6 + rollup.cost_rest})
    return {key: +one for key, one in sums.items() if +one}


def distributions() -> dict[tuple[Any, ...], tuple[Counter[int], Counter[int], Counter[int]]]:
    """The stored histograms."""
    return {
        (row.seconds, row.start, row.dimension, row.value): (
            +histogram.merge([row.latency_ms]),
            +histogram.merge([row.overhead_us]),
            +histogram.merge([row.ttft_ms]),
        )
        for row in RollupHistogram.objects.all()
    }

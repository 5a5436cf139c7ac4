"""Percentiles of latency, overhead and time to the first token, from histograms."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from typing import Any

import msgspec
from django.db.models import Q

from billing.models import RollupHistogram
from billing.reports.query import IDS, Selection
from billing.reports.windows import Span
from billing.rollups import histogram
from billing.rollups.accumulate import Distribution

DISTRIBUTED = ("key", "model", "upstream", "owner")
"""The dimensions whose values have histograms."""
SHARES = (0.5, 0.95, 0.99)


class Percentiles(msgspec.Struct, frozen=True, kw_only=True):
    """Rounded; 0 where there is no request."""

    p50: int = 0
    p95: int = 0
    p99: int = 0


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """The percentiles of one group of requests."""

    latency_ms: Percentiles = Percentiles()
    overhead_us: Percentiles = Percentiles()
    ttft_ms: Percentiles = Percentiles()


def latency(selection: Selection) -> Latency | None:
    """The percentiles of a selection; `None` if it names several values, or a dimension without histograms."""
    value = _one_value(selection)
    return None if value is None else _percentiles(_rows(selection.window.spans(), *value))


def latency_by_time(selection: Selection, seconds: int, *, merged: int = 0) -> dict[int, Latency]:
    """The same by bucket of `seconds`, by its start in Unix seconds; empty if there are no percentiles.

    `merged`: a multiple of `seconds`, into whose buckets these are merged.
    """
    value = _one_value(selection)
    if value is None:
        return {}
    by_start: dict[int, list[tuple[str, ...]]] = {}
    for start, *texts in _rows([selection.window.in_buckets(seconds)], *value, names=("start",)):
        by_start.setdefault(start - start % (merged or seconds), []).append(tuple(texts))
    return {start: _percentiles(rows) for start, rows in by_start.items()}


def latency_by(selection: Selection, dimension: str) -> dict[Any, Latency]:
    """The same by the values of a dimension; empty if the selection names a value of another one."""
    if dimension not in DISTRIBUTED or set(selection.values) - {dimension}:
        return {}
    by_value: dict[Any, list[tuple[str, ...]]] = {}
    for value, *texts in _rows(selection.window.spans(), dimension, names=("value",)):
        by_value.setdefault(str(uuid.UUID(value)) if dimension in IDS else value, []).append(tuple(texts))
    return {value: _percentiles(rows) for value, rows in by_value.items()}


def _one_value(selection: Selection) -> tuple[str, str] | None:
    if not selection.values:
        return "", ""
    (dimension, values), *others = selection.values.items()
    if others or dimension not in DISTRIBUTED or len(values) != 1:
        return None
    return dimension, uuid.UUID(str(values[0])).hex if dimension in IDS else values[0]


def _rows(spans: Iterable[Span], dimension: str, value: str | None = None, *, names: tuple[str, ...] = ()) -> Iterable[tuple[Any, ...]]:
    times = Q(pk__in=[])
    for span in spans:
        time = Q(seconds=span.seconds, start__gte=span.begin)
        times |= time if span.end is None else time & Q(start__lt=span.end)
    rows = RollupHistogram.objects.filter(times, dimension=dimension)
    return (rows if value is None else rows.filter(value=value)).values_list(*names, *Distribution._fields)


def _percentiles(rows: Iterable[tuple[str, ...]]) -> Latency:
    columns = list(zip(*rows, strict=True)) or [()] * len(Distribution._fields)
    distribution = {}
    for name, texts in zip(Distribution._fields, columns, strict=True):
        p50, p95, p99 = histogram.percentiles(histogram.merge(texts), SHARES)
        distribution[name] = Percentiles(p50=round(p50), p95=round(p95), p99=round(p99))
    return Latency(**distribution)

"""Add sums to the stored rollups, inside the transaction that writes what they count.

One transaction at a time changes rollups: on SQLite it holds the only write lock, on PostgreSQL an advisory lock until its commit. So
no sum is lost, no two writers wait for one another, and histograms can be read, added and written back.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from billing.bulk_load import Row, upsert
from billing.models import Rollup, RollupHistogram, RollupSeries
from billing.rollup_models import MEASURES
from billing.rollups import histogram
from billing.rollups.accumulate import Bucket, Distribution, Sums
from billing.rollups.lock import lock
from billing.rollups.series import Dimensions, Series, histogram_id

BATCH_IDS = 10_000
"""Ids in one query."""
ROLLUP_TABLE, HISTOGRAM_TABLE, SERIES_TABLE = (table._meta.db_table for table in (Rollup, RollupHistogram, RollupSeries))  # noqa: SLF001
ROLLUP_COLUMNS = ("seconds", "start", "series_id", *MEASURES)
SERIES_COLUMNS = ("id", *Dimensions._fields, "key_prefix", "key_name", "upstream_name")
HISTOGRAM_COLUMNS = ("id", "seconds", "start", "dimension", "value", *Distribution._fields)

_ADDED = ", ".join(f'"{name}" = "{ROLLUP_TABLE}"."{name}" + excluded."{name}"' for name in MEASURES)
ADD = f"ON CONFLICT (seconds, start, series_id) DO UPDATE SET {_ADDED}"
_REPLACED = ", ".join(f'"{name}" = excluded."{name}"' for name in Distribution._fields)
REPLACE = f"ON CONFLICT (id) DO UPDATE SET {_REPLACED}"


def add(connection: BaseDatabaseWrapper, sums: Sums) -> None:
    """Add sums to what is stored."""
    if not sums.amounts:
        return
    lock(connection)
    _add_series(connection, sums.series)
    rows = sorted((*bucket, series_id, *amounts) for (bucket, series_id), amounts in sums.amounts.items() if any(amounts))
    upsert(connection, ROLLUP_TABLE, ROLLUP_COLUMNS, rows, conflict=ADD)
    _add_distributions(connection, sums.distributions)


def _add_series(connection: BaseDatabaseWrapper, series: dict[int, Series]) -> None:
    stored_ids = {pk for ids in _batches(sorted(series)) for pk in RollupSeries.objects.filter(pk__in=ids).values_list("pk", flat=True)}
    rows: list[Row] = [
        (identity, *one.dimensions, one.key_prefix, one.key_name, one.upstream_name)
        for identity, one in sorted(series.items())
        if identity not in stored_ids
    ]
    upsert(connection, SERIES_TABLE, SERIES_COLUMNS, rows, conflict="ON CONFLICT (id) DO NOTHING")


def _add_distributions(connection: BaseDatabaseWrapper, distributions: dict[tuple[Bucket, str, str], Distribution]) -> None:
    by_id = {histogram_id(*bucket, dimension, value): key for key in distributions for bucket, dimension, value in [key]}
    stored: dict[int, Sequence[str]] = {}
    for ids in _batches(sorted(by_id)):
        stored |= {pk: texts for pk, *texts in RollupHistogram.objects.filter(pk__in=ids).values_list("pk", *Distribution._fields)}
    rows: list[Row] = []
    for identity, key in sorted(by_id.items()):
        bucket, dimension, value = key
        for counts, text in zip(distributions[key], stored.get(identity, ()), strict=False):
            histogram.add_text(counts, text)
        rows.append((identity, *bucket, dimension, value, *map(histogram.encode, distributions[key])))
    upsert(connection, HISTOGRAM_TABLE, HISTOGRAM_COLUMNS, rows, conflict=REPLACE)


def _batches(ids: Sequence[int]) -> Iterator[Collection[Any]]:
    for first in range(0, len(ids), BATCH_IDS):
        yield ids[first : first + BATCH_IDS]

"""Compare the rollups with the rows of the log, and the rows with the journal."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from django.db import connection, transaction
from django.db.models import Max, Min

from billing.models import CommittedSegment, RequestLog, Rollup, RollupSeries
from billing.request_log.spool import QUARANTINE, Spool
from billing.request_log.writer import decode_lines
from billing.rollup_models import MEASURES
from billing.rollups import rebuild
from billing.rollups.accumulate import DAY, HOUR
from billing.rollups.lock import lock

COMPARED = [name for name in MEASURES if not name.startswith("saved_")]
"""What the cache saved is left out: it is an estimate by the prices that were known when it was written."""


class Difference(msgspec.Struct, kw_only=True):
    """One sum of one hour or day and one series that is not what its rows, or its hours, say."""

    start: datetime
    bucket: str
    series: str
    measure: str
    rollup: int
    rows: int


class JournalReport(msgspec.Struct, kw_only=True):
    """The state of this machine's journal: lines that are not rows yet, committed lines without a row, and rejected lines."""

    waiting: int = 0
    missing: list[str] = []
    rejected: int = 0


def rollups_against_rows(begin: datetime | None = None, end: datetime | None = None) -> Iterator[Difference]:
    """The differences of all complete hours in the log, day by day; the writer waits while a day is compared."""
    for day in _days(begin, end):
        with transaction.atomic():
            lock(connection)
            day_differences = list(_differences_of_day(day))
        yield from day_differences


def _days(begin: datetime | None, end: datetime | None) -> Iterator[int]:
    rows = RequestLog.objects.aggregate(first=Min("timestamp"), last=Max("timestamp"))
    sums = Rollup.objects.filter(seconds=HOUR).aggregate(first=Min("start"), last=Max("start"))
    moments = [int(moment.timestamp()) for moment in rows.values() if moment] + [start for start in sums.values() if start is not None]
    if not moments:
        return
    first = max(min(moments), rebuild.first_complete_hour(), 0 if begin is None else int(begin.timestamp()))
    last = max(moments) if end is None else min(max(moments), int(end.timestamp()) - 1)
    yield from range(first - first % DAY, last + 1, DAY)


def _differences_of_day(day: int) -> Iterator[Difference]:
    begin = max(day, rebuild.first_complete_hour())
    counted = rebuild.sum_rows(rebuild.rows_between(begin, day + DAY))
    rows = {
        (bucket.start, series): Counter(dict(zip(MEASURES, amounts, strict=True)))
        for (bucket, series), amounts in counted.amounts.items()
        if bucket.seconds == HOUR
    }
    hours = _stored(HOUR, day, day + DAY)
    labels = _labels({series for _, series in (*rows, *hours)})
    stored = {key: sums for key, sums in hours.items() if key[0] >= begin}
    yield from _compared("hour", rows, stored, labels)
    of_hours: dict[tuple[int, int], Counter[str]] = {}
    for (_, series), sums in hours.items():
        of_hours.setdefault((day, series), Counter()).update(sums)
    yield from _compared("day", of_hours, _stored(DAY, day, day + DAY), labels)


Sums = dict[tuple[int, int], Counter[str]]


def _stored(seconds: int, begin: int, end: int) -> Sums:
    rows = Rollup.objects.filter(seconds=seconds, start__gte=begin, start__lt=end).values_list("start", "series_id", *MEASURES)
    return {(start, series): Counter(dict(zip(MEASURES, amounts, strict=True))) for start, series, *amounts in rows}


def _compared(bucket: str, rows: Sums, stored: Sums, labels: dict[int, str]) -> Iterator[Difference]:
    nothing: Counter[str] = Counter()
    for key in sorted({*rows, *stored}):
        expected, sums = rows.get(key, nothing), stored.get(key, nothing)
        for measure in COMPARED:
            if expected[measure] != sums[measure]:
                yield Difference(
                    start=datetime.fromtimestamp(key[0], UTC), bucket=bucket, series=labels.get(key[1], str(key[1])), measure=measure,
                    rollup=sums[measure], rows=expected[measure],
                )  # fmt: skip


def _labels(series: set[int]) -> dict[int, str]:
    labels = {}
    for row in RollupSeries.objects.filter(pk__in=series):
        parts = (row.scope, row.key_name, row.model, row.upstream_name, str(row.status_code), row.tags)
        labels[row.pk] = " / ".join(filter(None, parts))
    return labels


def rows_against_journal(directory: Path) -> JournalReport:
    """Compare the segments that are still in a spool with the log."""
    spool = Spool(directory)
    report = JournalReport(rejected=_rejected(directory / QUARANTINE))
    for path in spool.sealed():
        segment = spool.read(path)
        if segment is None:
            continue
        is_committed = CommittedSegment.objects.filter(pk=segment.id).exists()
        entries, _ = decode_lines(segment.lines)
        ids = {entry.id.replace("-", ""): entry for entry in entries}
        present = {pk.hex for pk in RequestLog.objects.filter(pk__in=[entry.id for entry in entries]).values_list("pk", flat=True)}
        absent = [entry.id for key, entry in ids.items() if key not in present]
        if is_committed:
            report.missing += absent
        else:
            report.waiting += len(absent)
    return report


def _rejected(folder: Path) -> int:
    files: list[Any] = list(folder.glob("*.jsonl")) if folder.is_dir() else []
    return sum(1 for file in files for line in file.read_bytes().splitlines() if not line.startswith(b"# "))

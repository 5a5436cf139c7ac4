"""Make rollups again from the rows of the log: after an upgrade, and when somebody doubts them. And their retention.

Hours whose rows have been deleted from the log keep their sums: only rollups know them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice

import msgspec
from django.db import connection, transaction
from django.db.models import Case, F, Max, Min, Value, When
from django.utils import timezone

from billing.models import RequestLog, RequestLogQuerySet, Rollup, RollupHistogram, RollupModel, RollupState
from billing.rollup_models import MEASURES
from billing.rollups import histogram, row_entries, store
from billing.rollups.accumulate import DAY, FIVE_MINUTES, HOUR, Bucket, Distribution, Sums
from billing.rollups.counting import Counting
from billing.rollups.known_names import UNKNOWN, KnownNames
from billing.rollups.lock import lock
from billing.rollups.series import ALL

SHORT_BUCKET_DAYS = 35
"""Days for which buckets of 5 minutes are stored; longer ones are stored for ever."""


class Report(msgspec.Struct):
    """What was rebuilt: days, and requests of the log."""

    days: int = 0
    requests: int = 0


def is_built() -> bool:
    """Whether all rows of the log have been summed up."""
    return not RollupState.objects.filter(is_built=False).exists()


def rebuild(progress: Callable[[datetime, int], object] | None = None) -> Report:
    """Replace the rollups of all hours whose rows are in the log, day by day. The writer waits while a day is summed up.

    `progress` is called with each day and its number of requests.
    """
    report = Report()
    for day in _days():
        with transaction.atomic():
            lock(connection)
            requests = _rebuild_day(day)
        report.days += 1
        report.requests += requests
        if progress is not None:
            progress(datetime.fromtimestamp(day, UTC), requests)
    RollupState.objects.update_or_create(id=1, defaults={"is_built": True})
    return report


def _days() -> Iterator[int]:
    """The days, in Unix seconds, that have rows or sums that rows can replace."""
    rows = RequestLog.objects.aggregate(first=Min("timestamp"), last=Max("timestamp"))
    sums = Rollup.objects.filter(seconds=DAY).aggregate(first=Min("start"), last=Max("start"))
    moments = [int(moment.timestamp()) for moment in rows.values() if moment] + [start for start in sums.values() if start is not None]
    if moments:
        first = max(min(moments), first_complete_hour())
        yield from range(first - first % DAY, max(moments) + 1, DAY)


def first_complete_hour() -> int:
    """The first hour, in Unix seconds, of which no row has been deleted."""
    pruned_before = RollupState.objects.values_list("pruned_before", flat=True).first() or 0
    return -(-pruned_before // HOUR) * HOUR


def _rebuild_day(day: int) -> int:
    begin, end = max(day, first_complete_hour()), day + DAY
    rows = rows_between(begin, end)
    _count_old_models(rows, day)
    replaced = {"start__gte": begin, "start__lt": end, "seconds__lt": DAY}
    for table in (Rollup, RollupHistogram):
        table.objects.filter(**replaced).delete()
        table.objects.filter(seconds=DAY, start=day).delete()
    sums = sum_rows(rows)
    in_all = {series for series, one in sums.series.items() if one.dimensions.scope == ALL}
    requests = sum(amounts[0] for (bucket, series), amounts in sums.amounts.items() if bucket.seconds == DAY and series in in_all)
    _drop_short_buckets(sums, before=int(_short_bucket_limit(timezone.now())))
    store.add(connection, sums)
    _add_earlier_hours(day, begin)
    return requests


def rows_between(begin: int, end: int) -> RequestLogQuerySet:
    """The rows of requests that began in a time, in Unix seconds."""
    return RequestLog.objects.filter(timestamp__gte=datetime.fromtimestamp(begin, UTC), timestamp__lt=datetime.fromtimestamp(end, UTC))


def sum_rows(rows: RequestLogQuerySet) -> Sums:
    """The sums of rows."""
    sums, entries, counting = Sums(), row_entries.read(rows), Counting()
    while chunk := list(islice(entries, row_entries.CHUNK_ROWS)):
        counting.learn(chunk)
        sums.add(chunk, counting)
    return sums


def _count_old_models(rows: RequestLogQuerySet, day: int) -> None:
    """Set the column `counted_model` of rows that were written before there was one."""
    old = rows.filter(counted_model="").exclude(model="")
    succeeded = old.filter(status_code__lt=400).exclude(model__in=RollupModel.objects.values("name")).order_by("model")
    if names := list(succeeded.values_list("model", flat=True).distinct()):
        KnownNames(RollupModel).add(names, datetime.fromtimestamp(day, UTC).date())
    is_known = When(model__in=RollupModel.objects.values("name"), then=F("model"))
    old.update(counted_model=Case(is_known, default=Value(UNKNOWN)))


def _drop_short_buckets(sums: Sums, *, before: int) -> None:
    def is_needed(bucket: Bucket) -> bool:
        return bucket.seconds != FIVE_MINUTES or bucket.start >= before

    sums.amounts = {key: amounts for key, amounts in sums.amounts.items() if is_needed(key[0])}
    sums.distributions = {key: distribution for key, distribution in sums.distributions.items() if is_needed(key[0])}


def _add_earlier_hours(day: int, begin: int) -> None:
    """Add the hours of a day whose rows have been deleted to the day's sums."""
    sums, bucket = Sums(), Bucket(DAY, day)
    hours = {"seconds": HOUR, "start__gte": day, "start__lt": begin}
    for series_id, *amounts in Rollup.objects.filter(**hours).values_list("series_id", *MEASURES):
        sums.add_amounts((bucket, series_id), amounts)
    for dimension, value, *texts in RollupHistogram.objects.filter(**hours).values_list("dimension", "value", *Distribution._fields):
        sums.add_distribution((bucket, dimension, value), Distribution(*(histogram.merge([text]) for text in texts)))
    store.add(connection, sums)


# --- retention ---------------------------------------------------------------------------------------------------------------


def note_pruning(moment: datetime) -> bool:
    """Remember that rows of requests before `moment` will be deleted; whether they may be, because they have been summed up."""
    if not is_built():
        return False
    limit = int(moment.timestamp()) + 1
    if not RollupState.objects.filter(pk=1, pruned_before__lt=limit).update(pruned_before=limit):
        RollupState.objects.get_or_create(pk=1, defaults={"pruned_before": limit})
    return True


def delete_short_buckets(now: datetime) -> int:
    """Delete buckets of 5 minutes that are older than :data:`SHORT_BUCKET_DAYS`; return the number of rows."""
    old = {"seconds": FIVE_MINUTES, "start__lt": int(_short_bucket_limit(now))}
    return sum(table.objects.filter(**old).delete()[0] for table in (Rollup, RollupHistogram))


def _short_bucket_limit(now: datetime) -> float:
    return (now - timedelta(days=SHORT_BUCKET_DAYS)).timestamp()

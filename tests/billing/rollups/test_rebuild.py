"""Rollups can be made again from the rows, as far as there are rows."""

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from billing import tasks
from billing.models import RequestLog, Rollup, RollupHistogram, RollupModel, RollupSeries, RollupState
from billing.request_log import retention, writer
from billing.rollups import rebuild
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import write_entries
from tests.billing.rollups import sums
from tests.billing.rollups.test_writing import various

pytestmark = pytest.mark.usefixtures("database")
NOW = timezone.now().replace(hour=12, minute=34)


def written(spool, entries) -> None:
    write_entries(spool, *entries)
    writer.drain_spool(spool)


def stored():
    return sums.from_rollups(), sums.distributions()


def recent(number):
    """The requests of `various`, moved to the last three days."""
    for one in various(number):
        one.timestamp += int((NOW - timedelta(days=3)).timestamp() * 1_000_000) - 1_790_000_000_000_000
        yield one


def test_rebuilt_rollups_are_those_of_the_writer(spool):
    written(spool, recent(200))
    before = stored()
    Rollup.objects.filter(seconds=3600).update(requests=7)
    RollupHistogram.objects.all().delete()
    RollupSeries.objects.all().delete()
    assert rebuild.rebuild().requests == 200
    assert stored() == before
    assert sums.from_rollups() == sums.from_rows()
    assert sums.margins() == sums.margins_of_rows()


def test_rollups_without_rows_go(spool):
    written(spool, recent(50))
    RequestLog.objects.all().delete()
    rebuild.rebuild()
    assert stored() == ({}, {})


def test_sums_of_rows_whose_time_is_over_stay(spool):
    written(spool, recent(300))
    before = stored()
    retention.delete_old_rows(log_days=1, payload_days=0, now=NOW)
    assert 0 < RequestLog.objects.count() < 300
    assert stored() == before
    rebuild.rebuild()
    assert stored() == before


def test_buckets_of_five_minutes_are_stored_for_35_days(spool):
    moments = [int((NOW - timedelta(days=days)).timestamp() * 1_000_000) for days in (1, 34, 36)]
    written(spool, [entry(timestamp=moment) for moment in moments])
    retention.delete_old_rows(log_days=0, payload_days=0, now=NOW)
    expected = {300: 2, 3600: 3, 86_400: 3}
    histograms = RollupHistogram.objects.filter(dimension="")
    assert {seconds: histograms.filter(seconds=seconds).count() for seconds in expected} == expected
    assert {seconds: sums.combinations(seconds).count() for seconds in expected} == expected
    rebuild.rebuild()
    assert {seconds: sums.combinations(seconds).count() for seconds in expected} == expected


def test_rows_of_an_earlier_release_are_summed_up_by_the_worker_and_not_deleted_before(spool):
    written(spool, recent(100))
    for table in (Rollup, RollupHistogram, RollupSeries, RollupModel):
        table.objects.all().delete()
    RequestLog.objects.update(counted_model="")
    RequestLog.objects.filter(status_code=404).update(model="nonsense")
    RollupState.objects.update_or_create(id=1, defaults={"is_built": False})
    retention.delete_old_rows(log_days=1, payload_days=0, now=NOW)
    assert (RequestLog.objects.count(), tasks.build_rollups(), tasks.build_rollups()) == (100, 100, 0)
    assert sums.from_rollups() == sums.from_rows()
    assert set(RollupSeries.objects.filter(scope="model").values_list("model", flat=True)) == {"m1", "m2", "(unknown)"}


def test_the_first_complete_hour_follows_the_deleted_rows():
    assert rebuild.note_pruning(datetime(2026, 11, 1, 12, 0, 1, tzinfo=UTC))
    assert datetime.fromtimestamp(rebuild.first_complete_hour(), UTC) == datetime(2026, 11, 1, 13, tzinfo=UTC)
    assert rebuild.note_pruning(datetime(2026, 10, 1, tzinfo=UTC))
    assert datetime.fromtimestamp(rebuild.first_complete_hour(), UTC) == datetime(2026, 11, 1, 13, tzinfo=UTC)

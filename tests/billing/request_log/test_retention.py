"""Rows go when their time is over."""

from datetime import timedelta

import pytest
from django.utils import timezone

from billing import schedule, tasks
from billing.models import CommittedSegment, RequestAttempt, RequestLog, RequestPayload
from billing.request_log import retention, writer
from billing.request_log.entry import AttemptEntry, PayloadEntry
from pxbin_site.conf.config import Config
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import write_entries

pytestmark = pytest.mark.usefixtures("database")
NOW = timezone.now()


def logged(spool, *ages_in_days: float) -> None:
    moments = [int((NOW - timedelta(days=age)).timestamp() * 1_000_000) for age in ages_in_days]
    write_entries(
        spool,
        *(entry(timestamp=moment, tries=[AttemptEntry(timestamp=moment)], payload=PayloadEntry(client_body="{}")) for moment in moments),
    )
    writer.drain_spool(spool)


def counts() -> tuple[int, int, int]:
    return RequestLog.objects.count(), RequestAttempt.objects.count(), RequestPayload.objects.count()


@pytest.mark.parametrize(
    ("log_days", "payload_days", "remaining"),
    [
        (7, 3, (3, 3, 2)),
        (7, 30, (3, 3, 3)),
        (7, 0, (3, 3, 3)),
        (0, 3, (4, 4, 2)),
        (-1, -1, (4, 4, 4)),
        (1, 1, (1, 1, 1)),
    ],
)
def test_rows_and_bodies_have_times_of_their_own(spool, log_days, payload_days, remaining):
    logged(spool, 0.5, 2, 6.9, 7.1)
    retention.delete_old_rows(log_days=log_days, payload_days=payload_days, now=NOW)
    assert counts() == remaining


def test_rows_are_deleted_in_batches_and_their_number_is_returned(spool, monkeypatch):
    monkeypatch.setattr(retention, "BATCH_ROWS", 2)
    logged(spool, 8, 8, 8, 9, 9, 1)
    CommittedSegment.objects.update(created_at=NOW - timedelta(days=3))
    deleted = {"payloads": 5, "attempts": 5, "logs": 5, "segments": 1, "rollups": 0}
    assert retention.delete_old_rows(log_days=7, payload_days=3, now=NOW) == deleted
    assert counts() == (1, 1, 1)


def test_a_run_ends_after_its_time_and_the_next_one_goes_on(spool):
    logged(spool, 8, 9)
    assert retention.delete_old_rows(log_days=7, payload_days=3, now=NOW, seconds=0) == dict.fromkeys(
        ("payloads", "attempts", "logs", "segments", "rollups"), 0
    )
    assert retention.delete_old_rows(log_days=7, payload_days=3, now=NOW)["logs"] == 2


def test_by_default_rows_are_stored_for_90_days_and_bodies_for_7():
    defaults = Config()
    assert (defaults.log_retention_days, defaults.payload_retention_days) == (90, 7)


def test_the_task_prunes_by_the_settings(spool):
    logged(spool, 1, 91)
    assert tasks.prune() == {"payloads": 1, "attempts": 1, "logs": 1, "segments": 0, "rollups": 8, "responses": 0, "remote_objects": 0}


def test_the_schedule_names_existing_tasks():
    scheduled = {name["task"] for has_broker in (True, False) for name in schedule.schedule(has_broker=has_broker).values()}
    tasks_of_billing = {task.name for task in (tasks.drain_spool, tasks.prune, tasks.sync_prices, tasks.build_rollups, tasks.check_alerts)}
    assert scheduled == tasks_of_billing
    assert "drain spool" not in schedule.schedule(has_broker=True)

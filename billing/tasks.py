"""Celery tasks. They only call functions that commands and tests call without Celery."""

from __future__ import annotations

import logging
import time

from celery import Task, shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from accounts.common.outage_log import Outage
from billing import schedule, stored_responses
from billing.alerts import checks, delivery
from billing.pricing import price_file, sync
from billing.pricing.fetch import FetchFailed
from billing.request_log import payload_files, remote_objects, retention, writer
from billing.request_log.journal import SPOOL_DIRECTORY
from billing.request_log.spool import Segment, Spool
from billing.rollups import rebuild

log = logging.getLogger(__name__)

RETRY_SECONDS = 10.0
ABANDONED_SECONDS = 3600.0
_database = Outage(
    log,
    failed="The database is unavailable, log entries wait in the spool: %s",
    recovered="The database is available again, log entries are written",
)


@shared_task(name="billing.write_request_logs", bind=True, ignore_result=True, max_retries=None)
def write_request_logs(self: Task[..., int], records: list[str], segment: str) -> int:
    """Write the lines of one segment, which a web process on any machine sent; return the number of new rows.

    While the database is unavailable the task retries every :data:`RETRY_SECONDS`; this is logged once.
    """
    lines = [record.encode() for record in records]
    try:
        rows = writer.write_segments([Segment(segment, lines)], Spool(settings.PXBIN.data_dir / SPOOL_DIRECTORY))
    except (OperationalError, InterfaceError) as error:
        connection.close()
        _database.report_failure(error)
        raise self.retry(countdown=RETRY_SECONDS) from error
    _database.report_success()
    return rows


def send_segment(segment: Segment) -> None:
    """Send a segment to the workers. Raises kombu's OperationalError when the broker is unavailable."""
    records = [line.decode("utf-8", "replace") for line in segment.lines]
    write_request_logs.apply_async((records, segment.id), retry=False)


@shared_task(name="billing.drain_spool", ignore_result=True)
def drain_spool() -> int:
    """Write the segments of this machine's web processes; return the number of new rows.

    While the database is unavailable they stay in the spool; this is logged once.
    """
    try:
        rows = writer.drain_spool(settings.PXBIN.data_dir / SPOOL_DIRECTORY)
    except (OperationalError, InterfaceError) as error:
        connection.close()
        _database.report_failure(error)
        return 0
    _database.report_success()
    return rows


@shared_task(name="billing.sync_prices", ignore_result=True)
def sync_prices() -> dict[str, int]:
    """Fetch the price file of the settings once a day, and update the prices of all models; return their numbers.

    A file that cannot be fetched is logged; the prices are updated with the one that was fetched before.
    """
    try:
        price_file.refresh(max_age_seconds=schedule.DAY)
    except FetchFailed as error:
        log.warning("%s", error)
    return sync.sync_all()


@shared_task(name="billing.build_rollups", ignore_result=True)
def build_rollups() -> int:
    """Sum up rows that an earlier release wrote, once; return the number of requests."""
    return 0 if rebuild.is_built() else rebuild.rebuild().requests


@shared_task(name="billing.check_alerts", ignore_result=True)
def check_alerts() -> int:
    """Raise the alerts that the checks find, and deliver what is due; return the number sent."""
    checks.check_all()
    return delivery.deliver_due()


@shared_task(name="billing.prune", ignore_result=True)
def prune() -> dict[str, int]:
    """Delete rows older than the retention settings; return the numbers of deleted rows by table."""
    config = settings.PXBIN
    deleted = retention.delete_old_rows(log_days=config.log_retention_days, payload_days=config.payload_retention_days)
    payload_files.remove_abandoned(config.data_dir / SPOOL_DIRECTORY, older_than=time.time() - ABANDONED_SECONDS)
    return {**deleted, "responses": stored_responses.delete_expired(), "remote_objects": remote_objects.delete_expired()}

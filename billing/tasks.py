"""Doorbells: what Celery rings runs from a command and a test without Celery."""

from __future__ import annotations

import logging

from celery import Task, shared_task
from django.conf import settings
from django.db import InterfaceError, OperationalError, connection

from accounts.common.outage_log import Outage
from billing import stored_responses
from billing.request_log import retention, writer
from billing.request_log.journal import SPOOL
from billing.request_log.spool import Segment, Spool

log = logging.getLogger(__name__)

AGAIN_SECONDS = 10.0
_database = Outage(
    log, away="The database is away, log entries wait in the spool: %s", back="The database is back, log entries are written again"
)


@shared_task(name="billing.write_request_logs", bind=True, ignore_result=True, max_retries=None)
def write_request_logs(self: Task[..., int], records: list[str], segment: str) -> int:
    """Write the lines of one segment, shipped by a web process on any machine; the number of new rows.

    While the database is away the task puts itself off, and that is said once.
    """
    lines = [record.encode() for record in records]
    try:
        rows = writer.write_segments([Segment(segment, lines)], Spool(settings.PXBIN.data_dir / SPOOL))
    except (OperationalError, InterfaceError) as error:
        connection.close()
        _database.goes_on(error)
        raise self.retry(countdown=AGAIN_SECONDS) from error
    _database.is_over()
    return rows


def send(segment: Segment) -> None:
    """Hand a segment to the workers. Raises kombu's OperationalError when the broker is away."""
    records = [line.decode("utf-8", "replace") for line in segment.lines]
    write_request_logs.apply_async((records, segment.id), retry=False)


@shared_task(name="billing.drain_spool", ignore_result=True)
def drain_spool() -> int:
    """Write what this machine's web processes have left in the spool; the number of new rows.

    While the database is away everything stays in the spool, and that is said once, not at every ring.
    """
    try:
        rows = writer.drain_spool(settings.PXBIN.data_dir / SPOOL)
    except (OperationalError, InterfaceError) as error:
        connection.close()
        _database.goes_on(error)
        return 0
    _database.is_over()
    return rows


@shared_task(name="billing.prune", ignore_result=True)
def prune() -> dict[str, int]:
    """Delete what is older than it is kept; the numbers of rows by table."""
    config = settings.PXBIN
    deleted = retention.prune(log_days=config.log_retention_days, payload_days=config.payload_retention_days)
    return {**deleted, "responses": stored_responses.prune()}

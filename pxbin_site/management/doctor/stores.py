"""Checks of where the gateway stores things: database, Redis, disk, spool, and of the clock that all of them have in common."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime

from django.conf import settings
from django.db import DatabaseError, InterfaceError, connection
from django.db.migrations.executor import MigrationExecutor
from django.db.models import Max

from accounts.common.commands import connect_once, is_set_up
from accounts.models import ApiKey
from billing.models import RequestLog
from billing.request_log.journal import SPOOL_DIRECTORY
from billing.request_log.spool import QUARANTINE, Spool
from pxbin_site.conf.setting import env_name
from pxbin_site.management.doctor.finding import Finding, failed, ok, one_line, warning

SLOW_SECONDS = 0.5
CLOCK_SECONDS = 5.0
LOW_BYTES, FULL_BYTES = 1024**3, 100 * 1024**2
OLD_SEGMENT_SECONDS = 60.0


def database() -> Iterator[Finding]:
    """Whether it answers, has our tables, and is up to date."""
    began = time.monotonic()
    kind = "PostgreSQL" if connection.vendor == "postgresql" else "SQLite"
    try:
        is_ready = is_set_up()
        if is_ready:
            ApiKey.objects.exists()
    except (DatabaseError, InterfaceError) as error:
        name = env_name("database_url") if settings.PXBIN.database_url else env_name("data_dir")
        yield failed("database", f"{kind}: {one_line(error)}", f"Start the database, or correct {name}")
        return
    seconds = time.monotonic() - began
    if not is_ready:
        yield failed("database", f"{kind} has no gateway in it yet", "Run `manage.py setup`")
        return
    executor = MigrationExecutor(connection)
    if plan := executor.migration_plan(executor.loader.graph.leaf_nodes()):
        yield failed("database", f"{len(plan)} migrations are missing", "Run `manage.py setup`, or start the gateway again")
    if seconds > SLOW_SECONDS:
        yield warning("database", f"{kind} took {seconds:.1f} s to answer", "Look for load, locks or a slow network")
    yield ok("database", f"{kind} answered in {seconds * 1000:.0f} ms")


def redis() -> Iterator[Finding]:
    """Whether it answers, if it is set."""
    if not settings.PXBIN.redis_url:
        yield ok("redis", "not used: one machine needs none")
        return
    from redis import Redis
    from redis.exceptions import RedisError

    began = time.monotonic()
    try:
        with Redis.from_url(settings.PXBIN.redis_url, socket_connect_timeout=2, socket_timeout=2) as client:
            client.ping()
            seconds, micros = client.time()
    except (RedisError, OSError) as error:
        yield failed("redis", one_line(error), f"Start Redis, or correct {env_name('redis_url')}; until then processes share no state")
        return
    yield ok("redis", f"answered in {(time.monotonic() - began) * 1000:.0f} ms")
    yield from _compare_clock("Redis", seconds + micros / 1e6)


def clock() -> Iterator[Finding]:
    """Whether the clock agrees with the database's, and no row is from the future."""
    try:
        if not is_set_up():
            return
        if connection.vendor == "postgresql":
            connect_once()
            with connection.cursor() as cursor:
                cursor.execute("SELECT extract(epoch FROM clock_timestamp())")
                yield from _compare_clock("the database", float(cursor.fetchone()[0]))
        newest = RequestLog.objects.aggregate(newest=Max("timestamp"))["newest"]
    except (DatabaseError, InterfaceError):
        return  # `database` reports it
    now = datetime.now(UTC)
    if newest is not None and (newest - now).total_seconds() > CLOCK_SECONDS:
        yield failed(
            "clock", f"the newest request of the log is from {newest:%Y-%m-%d %H:%M:%S} UTC, which is later than now", CLOCK_REMEDY
        )
    else:
        yield ok("clock", f"{now:%Y-%m-%d %H:%M:%S} UTC")


CLOCK_REMEDY = "Let NTP set the clock: limits, budgets and expiries go by it"


def _compare_clock(other: str, seconds: float) -> Iterator[Finding]:
    difference = time.time() - seconds
    if abs(difference) > CLOCK_SECONDS:
        direction = "ahead of" if difference > 0 else "behind"
        yield failed("clock", f"this machine is {abs(difference):.0f} s {direction} {other}", CLOCK_REMEDY)


def disk() -> Iterator[Finding]:
    """Whether the data directory can be written and has space."""
    directory = settings.PXBIN.data_dir
    remedy = f"Set {env_name('data_dir')}, or change the owner of the directory"
    if not directory.is_dir():
        yield failed("disk", f"{directory} does not exist", f"Run `manage.py setup`, or set {env_name('data_dir')}")
        return
    if not os.access(directory, os.W_OK | os.X_OK):
        yield failed("disk", f"{directory} cannot be written", remedy)
        return
    free = shutil.disk_usage(directory).free
    message = f"{free / 1024**3:.1f} GB are free in {directory}"
    if free < FULL_BYTES:
        yield failed("disk", message, "Free space: without it requests are answered, but not logged")
    elif free < LOW_BYTES:
        yield warning("disk", message, f"Free space, or lower {env_name('log_retention_days')}")
    else:
        yield ok("disk", message)


def spool() -> Iterator[Finding]:
    """Whether log entries wait longer than they should, and whether any could not be written."""
    directory = settings.PXBIN.data_dir / SPOOL_DIRECTORY
    if not directory.is_dir():
        yield ok("spool", "empty")
        return
    segments = Spool(directory).sealed()
    oldest = max((time.time() - path.stat().st_mtime for path in segments if path.exists()), default=0.0)
    if oldest > OLD_SEGMENT_SECONDS:
        message = f"{len(segments)} segments of the log wait, the oldest since {oldest:.0f} s"
        yield failed("spool", message, "Start the worker (`manage.py serve` or `work`), or run `manage.py flush_journal`")
    else:
        yield ok("spool", f"{len(segments)} segments wait" if segments else "empty")
    if rejected := sorted((directory / QUARANTINE).glob("*.jsonl")):
        remedy = f"Look at {rejected[0].parent}, and remove the files when they are no longer needed"
        yield warning("spool", f"{len(rejected)} segments had lines that are not log entries", remedy)

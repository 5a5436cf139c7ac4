"""Signs of life of the worker and of beat, which `manage.py doctor` reads: in Redis, or without it in files of the data directory.

Beat sends the task every :data:`SECONDS` and notes that it did; the worker notes that it ran it.
"""

from __future__ import annotations

import time
from enum import StrEnum

from django.conf import settings

SECONDS = 10.0
TASK = "pxbin.heartbeat"
DIRECTORY = "heartbeats"
LATE_SECONDS = 60.0
"""After so many seconds without a sign, a process does not run, or something holds it up."""
KEPT_SECONDS = 86_400


class Process(StrEnum):
    """What gives signs of life."""

    WORKER = "worker"
    BEAT = "beat"


def schedule() -> dict[str, dict[str, object]]:
    """The entry of Celery's `beat_schedule`."""
    return {"heartbeat": {"task": TASK, "schedule": SECONDS, "options": {"expires": SECONDS}}}


def write(process: Process) -> None:
    """Note that a process runs now. Raises OSError, or an error of Redis."""
    config = settings.PXBIN
    if config.redis_url:
        with _redis(config.redis_url) as redis:
            redis.set(f"pxbin:heartbeat:{process}", str(time.time()), ex=KEPT_SECONDS)
        return
    directory = config.data_dir / DIRECTORY
    directory.mkdir(mode=0o700, exist_ok=True)
    (directory / process).write_text(str(time.time()))


def remove() -> None:
    """Note that the processes of this machine have ended. In Redis those of other machines write the same signs; there they age."""
    if not settings.PXBIN.redis_url:
        for process in Process:
            (settings.PXBIN.data_dir / DIRECTORY / process).unlink(missing_ok=True)


def seconds_since(process: Process) -> float | None:
    """The age of the last sign of a process; `None` if there is none. Raises OSError, or an error of Redis."""
    config = settings.PXBIN
    if config.redis_url:
        with _redis(config.redis_url) as redis:
            text = redis.get(f"pxbin:heartbeat:{process}")
    else:
        try:
            text = (config.data_dir / DIRECTORY / process).read_text()
        except FileNotFoundError:
            text = None
    try:
        return None if not text else max(0.0, time.time() - float(text))
    except ValueError:  # read in the moment in which it is written
        return None


def _redis(url: str):  # type: ignore[no-untyped-def]  # noqa: ANN202  (its type is imported with its library)
    """Imported here, because only installations with Redis need its client library."""
    from redis import Redis

    return Redis.from_url(url, socket_connect_timeout=2, socket_timeout=2, decode_responses=True)

"""The last run of every scheduled task, for people: when, how long, with what result. Written by the process that runs the task."""

from __future__ import annotations

import logging
import time
from typing import Any

from celery import signals
from django.db import DatabaseError
from django.utils import timezone

from billing.models import JobRun

log = logging.getLogger(__name__)

UNRECORDED = frozenset({"billing.drain_spool", "billing.write_request_logs"})
"""Tasks that run several times a second."""
MAX_RESULT = 500
_started: dict[str, float] = {}
"""By the id of a running task: the beginning, in seconds of the monotonic clock."""


def connect() -> None:
    """Record the tasks that this process runs."""
    signals.task_prerun.connect(_begin, dispatch_uid="billing.job_runs.begin")
    signals.task_postrun.connect(_end, dispatch_uid="billing.job_runs.end")


def _begin(task_id: str = "", task: Any = None, **kwargs: Any) -> None:  # noqa: ARG001  (of the signal)
    if task is not None and task.name not in UNRECORDED:
        _started[task_id] = time.monotonic()


def _end(task_id: str = "", task: Any = None, retval: Any = None, state: str | None = None, **kwargs: Any) -> None:  # noqa: ARG001
    began = _started.pop(task_id, None)
    if began is None:
        return
    seconds = time.monotonic() - began
    values = {
        "ended_at": timezone.now(),
        "seconds": round(seconds, 3),
        "succeeded": state == "SUCCESS",
        "result": describe(retval)[:MAX_RESULT],
    }
    try:
        JobRun.objects.update_or_create(task=task.name, defaults=values)
    except DatabaseError as error:
        log.warning("The run of %s could not be recorded: %s", task.name, error)


def describe(result: object) -> str:
    """A task's result in words: the counts of a dictionary, an exception with its type."""
    if isinstance(result, dict):
        return ", ".join(f"{name}: {value}" for name, value in result.items()) or "nothing to do"
    if isinstance(result, BaseException):
        return f"{type(result).__name__}: {result}"
    return "done" if result is None else str(result)

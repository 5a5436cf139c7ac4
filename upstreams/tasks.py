"""Celery tasks: scheduled health checks and discovery.

Upstreams may respond slowly, so each task runs in a daemon thread of the worker: the worker goes on with other tasks, and does
not wait for the thread when it stops. Several processes may have a schedule; each upstream is handled by the one that claims it
first (``check_claimed_at``, ``discovery_claimed_at``). Called as functions, the tasks run in place.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any, TypeVar

from celery import Task, shared_task
from django.conf import settings
from django.db import IntegrityError, connection
from django.db.models import Q
from django.utils import timezone

from proxy.translation.dialects.lookup import PASSTHROUGH
from upstreams.echo import URL_PREFIX
from upstreams.models import Upstream
from upstreams.monitoring import discovery
from upstreams.monitoring import health_check as health
from upstreams.routing import live_state
from upstreams.routing.redis_sync import publishing

log = logging.getLogger(__name__)
T = TypeVar("T")
_threads: dict[str, threading.Thread] = {}


@shared_task(name="upstreams.health_check", bind=True, ignore_result=True)
def health_check(self: Task[[], Any]) -> dict[str, bool] | None:
    """Check the active upstreams and enable the credentials that work. Returns whether each is healthy, by name.

    With Redis the web processes apply the results at once; without it they read those that are in the database.
    """
    return _run_in_thread(self, _check_claimed)


@shared_task(name="upstreams.discover", bind=True, ignore_result=True)
def discover(self: Task[[], Any]) -> dict[str, int] | None:
    """Discover the models of the active upstreams. Returns the numbers of new models, and of vanished and returned routes."""
    return _run_in_thread(self, _discover_claimed)


def _check_claimed() -> dict[str, bool]:
    healthy: dict[str, bool] = {}
    with publishing(settings.PXBIN.redis_url, live_state.current()):
        upstreams = _claim("check_claimed_at", settings.PXBIN.health_check_seconds)
        for upstream, report in zip(upstreams, health.check_all(upstreams), strict=True):
            healthy[upstream.name] = report["healthy"]
            if not report["healthy"]:
                log.warning("upstream %s is not healthy: %s", upstream.name, report["error"])
    return healthy


def _discover_claimed() -> dict[str, int]:
    total = {"created": 0, "vanished": 0, "returned": 0}
    upstreams = _claim("discovery_claimed_at", settings.PXBIN.discover_seconds)
    for upstream, listed in zip(upstreams, discovery.list_all(upstreams), strict=True):
        try:
            if isinstance(listed, discovery.DiscoveryFailed):
                raise listed
            counts = discovery.apply_listing(upstream, listed)
        except (discovery.DiscoveryFailed, IntegrityError) as failure:  # the latter: another process has just created the same model
            log.warning("the models of upstream %s were not discovered: %s", upstream.name, failure)
            continue
        total = {name: number + counts[name] for name, number in total.items()}
    return total


def _claim(field: str, seconds: float) -> list[Upstream]:
    """Claim the upstreams that can be called without a client: active, not passed the client's own key, and of a known dialect.

    An upstream that was claimed in the last half of the interval of ``seconds`` belongs to another process.
    """
    rows = Upstream.objects.filter(is_active=True, pass_client_credentials=False).exclude(dialect=PASSTHROUGH)
    now = timezone.now()
    is_free = Q(**{field: None}) | Q(**{f"{field}__lte": now - timedelta(seconds=seconds / 2)})
    candidates = rows.exclude(base_url__startswith=URL_PREFIX).filter(is_free)
    return [row for row in candidates if Upstream.objects.filter(is_free, pk=row.pk).update(**{field: now})]


def _run_in_thread(task: Task[[], Any], function: Callable[[], T]) -> T | None:
    """Run in place if the task was called as a function; for Celery in a thread, unless that of the last call is still running."""
    if task.request.called_directly:
        return function()
    last = _threads.get(task.name)
    if last is None or not last.is_alive():
        _threads[task.name] = threading.Thread(target=_run_logged, args=(task.name, function), name=task.name, daemon=True)
        _threads[task.name].start()
    return None


def _run_logged(name: str, function: Callable[[], object]) -> None:
    try:
        function()
    except Exception:  # nobody else sees it: Celery's task has ended long ago
        log.exception("%s failed", name)
    finally:
        connection.close()

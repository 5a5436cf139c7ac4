"""Doorbells: what Celery rings runs from a command and a test without Celery.

Upstreams may let one wait, so a worker does this in threads of their own: rows are written meanwhile, and nobody waits for them
when it ends. Each process has a beat; who claims an upstream first asks it.
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
from upstreams.models import Upstream
from upstreams.monitoring import discovery
from upstreams.monitoring import health_check as health
from upstreams.routing import live_state
from upstreams.routing.redis_sync import telling

log = logging.getLogger(__name__)
T = TypeVar("T")
_rounds: dict[str, threading.Thread] = {}


@shared_task(name="upstreams.health_check", bind=True, ignore_result=True)
def health_check(self: Task[[], Any]) -> dict[str, bool] | None:
    """See whether every active upstream is well, and bring back the credentials that work again; by the upstreams' names.

    With Redis the web processes hear of what works again at once; without it they see the database's part of it.
    """
    return _aside(self, _check)


@shared_task(name="upstreams.discover", bind=True, ignore_result=True)
def discover(self: Task[[], Any]) -> dict[str, int] | None:
    """Take up what the active upstreams list now; the numbers of new, vanished and returned models."""
    return _aside(self, _discover)


def _check() -> dict[str, bool]:
    found: dict[str, bool] = {}
    with telling(settings.PXBIN.redis_url, live_state.current()):
        upstreams = _claimed("check_claimed_at", settings.PXBIN.health_check_seconds)
        for upstream, report in zip(upstreams, health.check_all(upstreams), strict=True):
            found[upstream.name] = report["healthy"]
            if not report["healthy"]:
                log.warning("upstream %s is not well: %s", upstream.name, report["error"])
    return found


def _discover() -> dict[str, int]:
    total = {"created": 0, "vanished": 0, "returned": 0}
    upstreams = _claimed("discovery_claimed_at", settings.PXBIN.discover_seconds)
    for upstream, listed in zip(upstreams, discovery.list_all(upstreams), strict=True):
        try:
            if isinstance(listed, discovery.DiscoveryFailed):
                raise listed
            counts = discovery.take_up(upstream, listed)
        except (discovery.DiscoveryFailed, IntegrityError) as failure:  # the latter: somebody has made the same model just now
            log.warning("the models of upstream %s were not taken up: %s", upstream.name, failure)
            continue
        total = {name: number + counts[name] for name, number in total.items()}
    return total


def _claimed(field: str, seconds: float) -> list[Upstream]:
    """The upstreams to ask without a client: active, with a key of ours and a protocol that we speak.

    Without those that another process has claimed in this interval of ``seconds``; half of it tells it from the last one.
    """
    rows = Upstream.objects.filter(is_active=True, pass_client_credentials=False).exclude(dialect=PASSTHROUGH)
    now = timezone.now()
    free = Q(**{field: None}) | Q(**{f"{field}__lte": now - timedelta(seconds=seconds / 2)})
    asked = rows.exclude(base_url__startswith="echo:").filter(free)
    return [row for row in asked if Upstream.objects.filter(free, pk=row.pk).update(**{field: now})]


def _aside(task: Task[[], Any], work: Callable[[], T]) -> T | None:
    """Work in place when called as a function; for Celery in a thread, unless that of the last ring still runs."""
    if task.request.called_directly:
        return work()
    last = _rounds.get(task.name)
    if last is None or not last.is_alive():
        _rounds[task.name] = threading.Thread(target=_alone, args=(task.name, work), name=task.name, daemon=True)
        _rounds[task.name].start()
    return None


def _alone(name: str, work: Callable[[], object]) -> None:
    try:
        work()
    except Exception:  # protects the log: what ends a task is told there
        log.exception("%s was not done", name)
    finally:
        connection.close()

"""Doorbells: what Celery rings runs from a command and a test without Celery."""

from __future__ import annotations

import logging

from celery import shared_task
from django.conf import settings

from upstreams import discovery, health, standing
from upstreams.models import Dialect, Upstream
from upstreams.sharing import telling

log = logging.getLogger(__name__)


@shared_task(name="upstreams.health_check", ignore_result=True)
def health_check() -> dict[str, bool]:
    """See whether every active upstream is well, and bring back the credentials that work again; by the upstreams' names.

    With Redis the web processes hear of what works again at once; without it they see the database's part of it.
    """
    found: dict[str, bool] = {}
    with telling(settings.PXBIN.redis_url, standing.current()):
        for upstream in _asked():
            report = health.check(upstream)
            found[upstream.name] = report["healthy"]
            if not report["healthy"]:
                log.warning("upstream %s is not well: %s", upstream.name, report["error"])
    return found


@shared_task(name="upstreams.discover", ignore_result=True)
def discover() -> dict[str, int]:
    """Take up what the active upstreams list now; the numbers of new, vanished and returned models."""
    total = {"created": 0, "vanished": 0, "returned": 0}
    for upstream in _asked():
        try:
            counts = discovery.discover(upstream)
        except discovery.DiscoveryFailed as failure:
            log.warning("the models of upstream %s cannot be listed: %s", upstream.name, failure)
            continue
        total = {name: number + counts[name] for name, number in total.items()}
    return total


def _asked() -> list[Upstream]:
    """The upstreams that can be asked without a client: active, with a key of ours, and with a protocol that we speak."""
    rows = Upstream.objects.filter(is_active=True, pass_client_credentials=False).exclude(dialect=Dialect.PASSTHROUGH)
    return list(rows.exclude(base_url__startswith="echo:"))

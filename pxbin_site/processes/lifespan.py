"""Starts and stops the services of a web process: journal, routing state and its Redis sync, rate limits, cache watcher, shipper.

This module is in the top layer, so that packages which do not import each other can be connected here.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from accounts import cache_revisions, keys, last_used
from accounts.cache_revisions import Watcher
from accounts.limits import limiter
from accounts.limits.memory_counts import MemoryCounts
from billing.pricing import price_book
from billing.request_log import journal, redaction, remote_objects
from pxbin_site import metrics
from upstreams.http import client
from upstreams.routing import credential_state, live_state

if TYPE_CHECKING:
    from accounts.limits.redis_counts import RedisCounts
    from billing.request_log.shipper import Shipper
    from upstreams.routing.redis_sync import RedisSync


class Lifespan:
    """The services of one web process. `start` runs before the first connection is accepted, `stop` after the last response."""

    def __init__(self) -> None:
        self._spool = settings.PXBIN.data_dir / journal.SPOOL_DIRECTORY
        self._watcher = Watcher()
        for times in (keys.client_key_use, keys.management_key_use, credential_state.credentials_used):
            self._watcher.every(last_used.WRITE_SECONDS, times.write)
        self._watcher.every(last_used.SHORT_WRITE_SECONDS, credential_state.upstreams_answered.write)
        # With Redis the workers may run on other machines, and the journal's segments are sent to them.
        self._shipper = _shipper(self._spool) if settings.PXBIN.redis_url else None
        self._redis_sync: RedisSync | None = None
        self._counts: MemoryCounts | RedisCounts | None = None
        self._metrics: metrics.ProcessMetrics | None = None

    async def start(self) -> None:
        """Open the journal, create the state in memory, load the caches."""
        loop = asyncio.get_running_loop()
        self._metrics = metrics.start(settings.PXBIN.data_dir, loop) if settings.PXBIN.metrics_enabled else None
        new_journal = journal.Journal if self._metrics is None else self._metrics.new_journal
        journal.start(new_journal(self._spool, schedule=loop.call_later, buffer_size=settings.PXBIN.log_buffer_size))
        config = settings.PXBIN
        routing_state = live_state.set_current(
            live_state.RoutingState(breaker_threshold=config.cb_failure_threshold, breaker_seconds=config.cb_timeout_seconds)
        )
        if config.redis_url:
            self._redis_sync = _redis_sync(config.redis_url, routing_state)
            await self._redis_sync.start()
        store = remote_objects.ObjectStore(self._spool)
        objects = routing_state.remote_objects
        objects.stores = [store.find] if self._redis_sync is None else [self._redis_sync.find_objects, store.find]
        cache_revisions.on_change(remote_objects.REVISION, self._note_nested_objects)
        self._counts = _redis_counts(config.redis_url, config.web_processes) if config.redis_url else MemoryCounts()
        self._counts.start()
        limiter.start(limiter.Limiter(self._counts, rps=config.rate_limit_rps, burst=config.rate_limit_burst))
        cache_revisions.on_change("prices", price_book.refresh)
        cache_revisions.on_change("redaction", redaction.refresh)
        await asyncio.to_thread(self._watcher.start)
        if self._shipper is not None:
            self._shipper.start()

    def _note_nested_objects(self) -> None:
        """Learn whether requests may name files: their content is searched only then."""
        if remote_objects.has_nested():
            live_state.current().remote_objects.knows_nested = True

    async def stop(self) -> None:
        """Close the connections to upstreams and write what is in memory to disk and to the database."""
        await client.close_all()
        if self._redis_sync is not None:
            await self._redis_sync.stop()
        journal.current().close()
        if self._counts is not None:
            await self._counts.stop()
        if self._metrics is not None:
            self._metrics.stop()
        await asyncio.to_thread(credential_state.flush)
        if self._shipper is not None:
            await asyncio.to_thread(self._shipper.stop)
        await asyncio.to_thread(self._watcher.stop)
        cache_revisions.remove_listener(self._note_nested_objects)


def _redis_sync(url: str, state: live_state.RoutingState) -> "RedisSync":
    """Imported here, because only installations with Redis need its client library."""
    from upstreams.routing import redis_sync

    return redis_sync.RedisSync(url, state)


def _redis_counts(url: str, processes: int) -> "RedisCounts":
    """Imported here for the same reason."""
    from accounts.limits.redis_counts import RedisCounts

    return RedisCounts(url, processes=processes)


def _shipper(spool: Path) -> "Shipper":
    """Imported here, because it imports Celery."""
    from billing import tasks
    from billing.request_log import shipper

    return shipper.Shipper(spool, tasks.send_segment)

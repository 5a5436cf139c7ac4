"""What a web process needs besides its application: the journal, the watcher over keys and catalogue, what processes share.

`serve` hands `start` and `stop` to the server. Here, on the top floor, the parts that do not know one another are joined.
"""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

from django.conf import settings

from accounts import cache_revisions, keys, last_used, rate_limits
from accounts.cache_revisions import Watcher
from billing.pricing import price_book
from billing.request_log import journal
from upstreams.http import client
from upstreams.routing import credential_state, live_state

if TYPE_CHECKING:
    from billing.request_log.shipper import Shipper
    from upstreams.routing.redis_sync import RedisSync


class Wiring:
    """The parts of one web process, from its first connection to its last."""

    def __init__(self) -> None:
        self._spool = settings.PXBIN.data_dir / journal.SPOOL
        self._watcher = Watcher()
        for used in (keys.clients, keys.managers, credential_state.credentials_used):
            self._watcher.every(last_used.WRITE_SECONDS, used.write)
        self._watcher.every(last_used.NEWS_SECONDS, credential_state.upstreams_answered.write)
        # With Redis the workers may be on other machines, and the journal's segments are sent to them.
        self._shipper = _shipper(self._spool) if settings.PXBIN.redis_url else None
        self._sharing: RedisSync | None = None

    async def start(self) -> None:
        """Before the first connection: memory is filled and the journal is open."""
        loop = asyncio.get_running_loop()
        journal.start(journal.Journal(self._spool, schedule=loop.call_later, buffer_size=settings.PXBIN.log_buffer_size))
        config = settings.PXBIN
        known = live_state.set_current(
            live_state.RoutingState(breaker_threshold=config.cb_failure_threshold, breaker_seconds=config.cb_timeout_seconds)
        )
        if config.redis_url:
            self._sharing = _sharing(config.redis_url, known)
            await self._sharing.start()
        rate_limits.start(rate_limits.Limiter(rps=config.rate_limit_rps, burst=config.rate_limit_burst))
        cache_revisions.listen("prices", price_book.refresh)
        await asyncio.to_thread(self._watcher.start)
        if self._shipper is not None:
            self._shipper.start()

    async def stop(self) -> None:
        """After the last answer: what is in memory goes to disk and to the database."""
        await client.close_all()
        if self._sharing is not None:
            await self._sharing.stop()
        journal.current().close()
        await asyncio.to_thread(credential_state.flush)
        if self._shipper is not None:
            await asyncio.to_thread(self._shipper.stop)
        await asyncio.to_thread(self._watcher.stop)


def _sharing(url: str, known: live_state.RoutingState) -> "RedisSync":
    """Imported here, because only installations with Redis need its client."""
    from upstreams.routing import redis_sync

    return redis_sync.RedisSync(url, known)


def _shipper(spool: Path) -> "Shipper":
    """Imported here, because it brings Celery along."""
    from billing import tasks
    from billing.request_log import shipper

    return shipper.Shipper(spool, tasks.send)

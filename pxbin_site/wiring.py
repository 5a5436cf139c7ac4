"""What a web process needs besides its application: the journal, the watcher over keys and catalogue, the echo upstream.

`serve` hands `start` and `stop` to the server. Here, on the top floor, the parts that do not know one another are joined.
"""

import asyncio
import logging

from django.conf import settings

from accounts import keys, revisions
from accounts.revisions import Watcher
from billing import journal, prices
from proxy.echo.transport import SCHEME, EchoTransport
from upstreams import client

logger = logging.getLogger("pxbin.wiring")


class Wiring:
    """The parts of one web process, from its first connection to its last."""

    def __init__(self) -> None:
        self._watcher = Watcher()
        self._watcher.every(keys.LAST_USED_SECONDS, keys.write_last_used)

    async def start(self) -> None:
        """Before the first connection: memory is filled and the journal is open."""
        config = settings.PXBIN
        loop = asyncio.get_running_loop()
        journal.start(journal.Journal(config.data_dir / journal.SPOOL, schedule=loop.call_later, buffer_size=config.log_buffer_size))
        revisions.listen("prices", prices.refresh)
        client.mount(SCHEME, EchoTransport())
        await asyncio.to_thread(self._watcher.start)

    async def stop(self) -> None:
        """After the last answer: what is in memory goes to disk and to the database."""
        await client.close_all()
        journal.current().close()
        await asyncio.to_thread(self._watcher.stop)

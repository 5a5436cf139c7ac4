"""One web process: the ASGI application on a listening socket, from start to drain."""

import socket
from collections.abc import Callable

from django.conf import settings

from pxbin_site.asgi import application, takes_websockets
from pxbin_site.processes.lifespan import Wiring
from pxbin_site.server import daphne_server


def run(
    listening: socket.socket,
    *,
    before: Callable[[], object] | None = None,
    on_listening: Callable[[tuple[str, int]], object] | None = None,
    on_drain: Callable[[int], object] | None = None,
) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT; the socket is closed when the drain begins.

    ``before`` runs, and may be awaited, before the first connection is accepted; the others are as in :func:`server.serve`.
    """
    wiring = Wiring()

    async def start() -> None:
        await wiring.start()
        await daphne_server.call(before)

    def drain(running: int) -> None:
        listening.close()
        if on_drain is not None:
            on_drain(running)

    daphne_server.serve(
        application,
        host="",
        port=0,
        fd=listening.dup().detach(),
        drain_seconds=settings.PXBIN.drain_seconds,
        on_startup=start,
        on_listening=on_listening,
        on_drain=drain,
        on_shutdown=wiring.stop,
        websockets=takes_websockets,
    )

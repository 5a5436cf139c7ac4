"""One web process: serves the ASGI application on a listening socket until it is drained."""

import socket
import sys
from collections.abc import Callable

from django.conf import settings

from pxbin_site.asgi import application, has_websocket
from pxbin_site.processes.lifespan import Lifespan
from pxbin_site.server import daphne_server
from pxbin_site.server.key_gate import KeyGate, is_of_clients

SWITCH_SECONDS = 0.001
"""How long a thread keeps the interpreter's lock while the event loop waits for it: threads that work on large bodies would
otherwise delay each step of the loop by 5 ms, Python's default."""


def run(
    listening: socket.socket,
    *,
    before_listening: Callable[[], object] | None = None,
    on_listening: Callable[[tuple[str, int]], object] | None = None,
    on_hangup: Callable[[], object] | None = None,
    on_drain: Callable[[int], object] | None = None,
) -> None:
    """Serve on a listening socket until SIGTERM, SIGINT or a retirement (SIGHUP); the socket is closed when the drain begins.

    ``before_listening`` is called, and awaited if it is a coroutine function, before the first connection is accepted; the
    other callbacks are those of :func:`daphne_server.serve`.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    lifespan = Lifespan()

    async def start() -> None:
        await lifespan.start()
        await daphne_server.call_hook(before_listening)

    def drain(running: int) -> None:
        listening.close()
        if on_drain is not None:
            on_drain(running)

    daphne_server.serve(
        application,
        listening.dup(),
        drain_seconds=settings.PXBIN.drain_seconds,
        on_startup=start,
        on_listening=on_listening,
        on_hangup=on_hangup,
        on_drain=drain,
        on_shutdown=lifespan.stop,
        gate=KeyGate(),
        websockets=has_websocket,
        is_sheddable=is_of_clients,
    )

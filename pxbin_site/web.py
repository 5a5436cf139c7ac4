"""One web process: the ASGI application on a listening socket, from start to drain."""

import socket

from django.conf import settings

from pxbin_site import server
from pxbin_site.asgi import application
from pxbin_site.wiring import Wiring


def run(listening: socket.socket) -> None:
    """Serve on a listening socket until SIGTERM or SIGINT; the socket is closed when the drain begins."""
    wiring = Wiring()
    server.serve(
        application,
        host="",
        port=0,
        fd=listening.dup().detach(),
        drain_seconds=settings.PXBIN.drain_seconds,
        on_startup=wiring.start,
        on_drain=listening.close,
        on_shutdown=wiring.stop,
    )

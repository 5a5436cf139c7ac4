"""One web process: the ASGI application on a listening socket, from start to drain."""

import socket

from django.conf import settings

from pxbin_site import server
from pxbin_site.asgi import application
from pxbin_site.wiring import Wiring


def run(fd: int) -> None:
    """Serve on the listening socket `fd` (a duplicate is used) until SIGTERM or SIGINT."""
    wiring = Wiring()
    with socket.socket(fileno=fd) as original:
        duplicate = original.dup().detach()
        original.detach()
    server.serve(
        application,
        host="",
        port=0,
        fd=duplicate,
        drain_seconds=settings.PXBIN.drain_seconds,
        on_startup=wiring.start,
        on_shutdown=wiring.stop,
    )

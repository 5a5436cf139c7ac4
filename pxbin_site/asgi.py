"""The ASGI application: HTTP requests go to `server.handler`, WebSockets to their consumers. Any ASGI server can run it."""

import os

from channels.routing import ProtocolTypeRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pxbin_site.settings")

from pxbin_site.server.handler import get_application

http = get_application()

from pxbin_site.server.responses_socket import ResponsesSocket, find_dialect  # noqa: E402  (after the set-up of Django)

application = ProtocolTypeRouter({"http": http, "websocket": ResponsesSocket.as_asgi()})


def has_websocket(path: str) -> bool:
    """Whether the application serves a websocket at a path."""
    return find_dialect(path) is not None

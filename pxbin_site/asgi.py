"""The ASGI application: HTTP requests go to `server.handler`. Any ASGI server can run it."""

import os

from channels.routing import ProtocolTypeRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pxbin_site.settings")

from pxbin_site.server.handler import get_application

application = ProtocolTypeRouter({"http": get_application()})


def has_websocket(path: str) -> bool:  # noqa: ARG001  (there are none yet)
    """Whether the application serves a websocket at a path."""
    return False

"""The ASGI application: HTTP to the lean handler. Any ASGI server can run it."""

import os

from channels.routing import ProtocolTypeRouter

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pxbin_site.settings")

from pxbin_site.server.handler import get_application

application = ProtocolTypeRouter({"http": get_application()})


def takes_websockets(path: str) -> bool:  # noqa: ARG001  (nobody has one yet)
    """Whether the application has a websocket at a path."""
    return False

"""The ASGI application: HTTP to the handlers. Any ASGI server can run it."""

import os

from channels.routing import ProtocolTypeRouter
from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pxbin_site.settings")

application = ProtocolTypeRouter({"http": get_asgi_application()})

"""The app of the proxy: the pure wire modules, and the doors that clients knock at."""

from django.apps import AppConfig


class ProxyConfig(AppConfig):
    """The gateway itself. It has no tables of its own."""

    name = "proxy"
    default_auto_field = "django.db.models.BigAutoField"

"""The app of the upstreams: where requests may go, under which names and with which credentials."""

from django.apps import AppConfig


class UpstreamsConfig(AppConfig):
    """Upstreams, their credentials, models and routes."""

    name = "upstreams"
    default_auto_field = "django.db.models.BigAutoField"

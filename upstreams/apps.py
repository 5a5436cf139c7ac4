"""The Django app of upstreams, credentials, models and routes."""

from django.apps import AppConfig


class UpstreamsConfig(AppConfig):
    """Read by Django."""

    name = "upstreams"
    default_auto_field = "django.db.models.BigAutoField"

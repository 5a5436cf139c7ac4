"""The site as a Django app: it holds the commands that start processes, the system checks, and what belongs to no other app."""

from importlib import import_module
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.core.checks import register
from django.db import connections
from django.db.models.signals import pre_migrate


class SiteConfig(AppConfig):
    """Wires the site when Django has loaded every app."""

    name = "pxbin_site"
    label = "pxbin_site"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the checks of the settings, and the making of the schema."""
        from pxbin_site import checks

        if settings.PXBIN.redis_url:
            # So that tasks sent from here go to our broker. Without one nothing is sent, and Celery stays out of web processes.
            import_module("pxbin_site.celery")
        register(checks.check_settings, checks.TAG)
        # Sent for each app that has models, of which this one has none.
        pre_migrate.connect(make_schema, sender=apps.get_app_config("accounts"), dispatch_uid="pxbin_site.make_schema")


def make_schema(using: str, **_: Any) -> None:
    """Before the first table: on PostgreSQL, create the schema that `database_schema` names."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(settings.PXBIN.database_schema)
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")

"""The site as a Django app: commands that start processes, system checks, and what belongs to no other app."""

from importlib import import_module
from typing import Any

from django.apps import AppConfig, apps
from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.checks import register
from django.db import connections
from django.db.models.signals import pre_migrate


class SiteConfig(AppConfig):
    """Connects the parts of the site when Django has loaded all apps."""

    name = "pxbin_site"
    label = "pxbin_site"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Register the system checks and the creation of the database schema."""
        from pxbin_site import checks
        from pxbin_site.login import throttle

        if settings.PXBIN.redis_url:
            # Tasks sent from this process go to our broker. Without Redis nothing is sent, and web processes do not load Celery.
            import_module("pxbin_site.celery")
        register(checks.check_settings, checks.TAG)
        user_login_failed.connect(throttle.note_failure, dispatch_uid="pxbin_site.login")
        user_logged_in.connect(throttle.note_login, dispatch_uid="pxbin_site.login")
        # The signal is sent for each app with models; this one has none.
        pre_migrate.connect(create_schema, sender=apps.get_app_config("accounts"), dispatch_uid="pxbin_site.create_schema")


def create_schema(using: str, **_: Any) -> None:
    """On PostgreSQL, create the schema of `database_schema` before the first table."""
    connection = connections[using]
    if connection.vendor == "postgresql":
        with connection.cursor() as cursor:
            name = connection.ops.quote_name(settings.PXBIN.database_schema)
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {name}")

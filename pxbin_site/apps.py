"""The site as a Django app: it holds the `serve` command, the system checks and what belongs to no other app."""

from django.apps import AppConfig


class SiteConfig(AppConfig):
    """Wires the site when Django has loaded every app."""

    name = "pxbin_site"
    label = "pxbin_site"
    default_auto_field = "django.db.models.BigAutoField"

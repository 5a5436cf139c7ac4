"""The Django app of client keys, management keys and their limits."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Configuration of the app."""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

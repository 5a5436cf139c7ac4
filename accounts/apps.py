"""The app of the keys: who may use the gateway, and how much."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """API keys, management keys and their limits."""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

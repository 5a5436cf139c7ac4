"""The Django app of client keys, management keys and their limits."""

from django.apps import AppConfig

from accounts.common import change_origin


class AccountsConfig(AppConfig):
    """Configuration of the app."""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Note who changes rows."""
        change_origin.connect()

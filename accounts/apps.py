"""The Django app of client keys, management keys and their limits."""

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    """Configuration of the app."""

    name = "accounts"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Let histories name their actors."""
        from accounts import change_log

        change_log.connect()

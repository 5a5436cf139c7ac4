"""The app of the bills: prices, request logs and what is counted from them."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Prices, request logs and reports."""

    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Listen for new models."""
        from billing.pricing import receivers

        receivers.connect()

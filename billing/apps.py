"""The billing app: prices, request log, and stored responses."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Django's configuration of the app."""

    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the signals by which new models get prices."""
        from accounts.limits import ledger
        from billing import job_runs, spend
        from billing.pricing import receivers

        receivers.connect()
        job_runs.connect()
        ledger.set_ledger(spend.spent, spend.unwritten, spend.over_budget)

"""The billing app: prices, request log, and stored responses."""

from django.apps import AppConfig


class BillingConfig(AppConfig):
    """Django's configuration of the app."""

    name = "billing"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Connect the signals by which new models get prices, the ledger of budgets, and the renewal of encrypted addresses."""
        from accounts.limits import ledger
        from billing import spend
        from billing.alerts import delivery
        from billing.pricing import receivers
        from upstreams.secrets import store

        receivers.connect()
        store.renewals.append(delivery.renew_secrets)
        ledger.set_ledger(spend.spent, spend.unwritten, spend.over_budget)

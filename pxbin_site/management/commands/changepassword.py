"""`manage.py changepassword NAME`: Django's, for a gateway that is there."""

from django.contrib.auth.management.commands import changepassword

from accounts.common.commands import GatewayCommand


class Command(GatewayCommand, changepassword.Command):
    """Looks for the gateway first."""

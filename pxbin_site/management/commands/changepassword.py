"""`manage.py changepassword NAME`: Django's command, for a database that is set up."""

from django.contrib.auth.management.commands import changepassword

from accounts.common.commands import GatewayCommand


class Command(GatewayCommand, changepassword.Command):
    """Reports a database that is not set up before it asks for a password."""

"""`manage.py rotate_key ID --grace-seconds N`: give a key a new secret and print it."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser

from accounts import key_rotation
from accounts.api.keys import issued_key
from accounts.common.api_envelope import timestamp
from accounts.common.commands import GatewayCommand
from accounts.management import key_argument


class Command(GatewayCommand):
    """Rotates a key. Its id, limits, budgets and log stay."""

    help = "Give a key a new secret and print it. The old one is valid for the grace period; rotating again ends it at once."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which key, and how long the old secret is valid."""
        parser.add_argument("id", metavar="ID", help=key_argument.HELP)
        parser.add_argument(
            "--grace-seconds", type=float, default=0, metavar="N", help="how long the old secret is still accepted (default: 0, not at all)"
        )
        self.add_json_option(parser, "the key with its id and the end of the old secret, as the management API returns it,")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate, and print the new secret. Raises CommandError if there is no such key, or it is revoked or expired."""
        row = key_argument.find_key(options["id"])
        try:
            plaintext = key_rotation.rotate(row, grace_seconds=options["grace_seconds"])
        except key_rotation.NotRotatable as refusal:
            raise CommandError(str(refusal)) from None
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from None
        if options["json"]:
            self.write_json({**issued_key(plaintext, row), "old_key_valid_until": timestamp(row.old_key_valid_until)})
        else:
            self.stdout.write(plaintext)

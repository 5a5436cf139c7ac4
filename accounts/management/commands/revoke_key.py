"""`manage.py revoke_key ID`: revoke a key; it is refused within a second."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser

from accounts.common.commands import GatewayCommand
from accounts.management import key_argument


class Command(GatewayCommand):
    """Revokes a key. It stays in the lists."""

    help = "Revoke a client key or a management key. Running gateways refuse it within a second. It stays in the lists and in the log."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which key."""
        parser.add_argument("id", metavar="ID", help=key_argument.HELP)
        self.add_json_option(parser, "one object")

    def handle(self, *args: Any, **options: Any) -> None:
        """Revoke the key; a key that is revoked already stays so. Raises CommandError if there is no such key."""
        row = key_argument.find_key(options["id"])
        was_active = row.is_active
        if was_active:
            row.is_active = False
            row.save()
        if options["json"]:
            self.write_json({"id": str(row.id), "key_prefix": row.key_prefix, "name": row.name, "status": "deactivated"})
        else:
            self.stdout.write(f"{row} {'is revoked' if was_active else 'was revoked already'}")

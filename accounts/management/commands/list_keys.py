"""`manage.py list_keys`: list client keys and management keys, never their secrets."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from accounts.api.keys import KEYS
from accounts.common.commands import GatewayCommand
from accounts.common.key_kinds import KeyKind
from accounts.models import ApiKey, ManagementKey

TITLES = ("ID", "PREFIX", "TYPE", "NAME", "STATUS", "CREATED", "LAST USED")


class Command(GatewayCommand):
    """Lists keys, the newest first."""

    help = "List the keys with their ids and states, the newest first. The keys themselves are not stored and cannot be shown."

    def add_arguments(self, parser: CommandParser) -> None:
        """Which keys."""
        parser.add_argument("--type", choices=list(KeyKind), help="only client keys (llm) or only management keys; default: both")
        parser.add_argument("--active", action="store_true", help="only keys that are accepted: neither revoked nor expired")
        self.add_json_option(parser, "one array of the keys, as the management API returns them,")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the keys."""
        kinds = [KeyKind(options["type"])] if options["type"] else list(KeyKind)
        rows = [(kind, row) for kind in kinds for row in KEYS[kind].rows() if not options["active"] or _status(row) == "active"]
        if options["json"]:
            self.write_json([{"type": kind, **KEYS[kind].show(row), "status": _status(row)} for kind, row in rows])
        else:
            self.write_table(TITLES, (_cells(kind, row) for kind, row in rows))


def _status(row: ApiKey | ManagementKey) -> str:
    if not row.is_active:
        return "revoked"
    return "expired" if row.expires_at is not None and row.expires_at <= timezone.now() else "active"


def _cells(kind: KeyKind, row: ApiKey | ManagementKey) -> tuple[object, ...]:
    used = f"{row.last_used_at:%Y-%m-%d %H:%M}" if row.last_used_at else "never"
    return row.id, row.key_prefix, kind, row.name, _status(row), f"{row.created_at:%Y-%m-%d %H:%M}", used

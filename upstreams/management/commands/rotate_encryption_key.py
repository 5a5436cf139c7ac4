"""`manage.py rotate_encryption_key`: encrypt every stored credential with the newest key."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from upstreams import credentials, vault


class Command(BaseCommand):
    """Bring all credentials to the first passphrase of the ring."""

    help = (
        "Encrypt every stored credential with PXBIN_ENCRYPTION_KEY. Put the former key into PXBIN_ENCRYPTION_KEYS_OLD first, "
        "restart the gateway, run this, then take the former key away."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate and count."""
        try:
            changed = credentials.rotate()
        except vault.VaultError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{changed} credentials encrypted anew; all are under key {vault.ring().current}.")

"""`manage.py rotate_encryption_key`: encrypt every stored credential with the newest key."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from upstreams.secrets import store, vault


class Command(GatewayCommand):
    """Bring all credentials to the first passphrase of the ring."""

    help = (
        "Encrypt every stored credential with PXBIN_ENCRYPTION_KEY. Put the former key into PXBIN_ENCRYPTION_KEYS_OLD first, "
        "restart the gateway, run this, then take the former key away."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """What to do with credentials whose key is lost."""
        parser.add_argument("--forget", action="store_true", help="instead, remove the keys of upstreams that can no longer be decrypted")
        parser.add_argument("--yes", action="store_true", help="with --forget: do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate and count."""
        if options["forget"]:
            self._forget(sure=options["yes"])
            return
        try:
            changed = store.rotate()
        except vault.VaultError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{changed} credentials encrypted anew; all are under key {store.ring().current_id}.")

    def _forget(self, *, sure: bool) -> None:
        """The way out when the encryption key is lost."""
        lost = store.undecryptable()
        for problem in lost.values():
            self.stdout.write(problem)
        if lost and not sure and not _confirmed("Remove these keys for good? [y/N] "):
            raise CommandError("Nothing was changed")
        self.stdout.write(f"{store.remove_secrets(lost)} keys removed; their credentials are disabled until a new key is entered.")


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False

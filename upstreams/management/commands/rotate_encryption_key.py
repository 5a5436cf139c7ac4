"""`manage.py rotate_encryption_key`: encrypt every stored credential with the newest key."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from upstreams.secrets import store, vault


class Command(GatewayCommand):
    """The change of the encryption key, and the way out when it is lost."""

    help = (
        "Encrypt all stored credentials with PXBIN_ENCRYPTION_KEY. First add the old key to PXBIN_ENCRYPTION_KEYS_OLD and "
        "restart the gateway; afterwards remove the old key."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument(
            "--forget", action="store_true", help="remove the credentials that cannot be decrypted, instead of encrypting the others"
        )
        parser.add_argument("--yes", action="store_true", help="with --forget: do not ask for confirmation")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate, or remove what cannot be decrypted."""
        if options["forget"]:
            self._forget(sure=options["yes"])
            return
        try:
            changed = store.rotate()
        except vault.VaultError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(f"{changed} credentials encrypted again; all use the encryption key {store.ring().current_id}.")

    def _forget(self, *, sure: bool) -> None:
        """For a lost encryption key: the credentials have to be entered again."""
        lost = store.undecryptable()
        for problem in lost.values():
            self.stdout.write(problem)
        if lost and not sure and not _confirmed("Remove these credentials? They cannot be restored. [y/N] "):
            raise CommandError("Nothing was changed")
        self.stdout.write(f"{store.remove_secrets(lost)} secrets removed; their credentials are disabled until a new secret is entered.")


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False

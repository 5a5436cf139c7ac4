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
        self.add_json_option(parser, "one object with the numbers of credentials")

    def handle(self, *args: Any, **options: Any) -> None:
        """Rotate, or remove what cannot be decrypted."""
        if options["forget"]:
            removed = self._forget(sure=options["yes"], quiet=options["json"])
            if options["json"]:
                self.write_json({"removed": removed})
            else:
                self.stdout.write(f"{removed} secrets removed; their credentials are disabled until a new secret is entered.")
            return
        try:
            changed = store.rotate()
        except vault.VaultError as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.write_json({"changed": changed, "encryption_key": store.ring().current_id})
        else:
            self.stdout.write(f"{changed} credentials encrypted again; all use the encryption key {store.ring().current_id}.")

    def _forget(self, *, sure: bool, quiet: bool) -> int:
        """For a lost encryption key: the credentials have to be entered again. Returns how many were removed."""
        lost = store.undecryptable()
        for problem in lost.values():
            (self.stderr if quiet else self.stdout).write(problem)
        if lost and not sure and not _confirmed("Remove these credentials? They cannot be restored. [y/N] "):
            raise CommandError("Nothing was changed")
        return store.remove_secrets(lost)


def _confirmed(question: str) -> bool:
    try:
        return input(question).strip().lower() in {"y", "yes"}
    except EOFError:
        return False

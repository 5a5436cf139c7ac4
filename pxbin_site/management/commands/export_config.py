"""`manage.py export_config`: the configuration as a file that `import_config` reads."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from accounts.common.commands import GatewayCommand
from pxbin_site.config_files import exporting
from upstreams.secrets import vault


class Command(GatewayCommand):
    """Exports to standard output."""

    help = (
        "Print upstreams, credentials, models, routes, prices entered by hand, and the hashes of keys, as YAML. Secrets are references "
        "(env:NAME, file:PATH). import_config --prune --dry-run --exit-code compares the file with the gateway."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        """The form."""
        parser.add_argument("--json", action="store_true", help="print JSON instead of YAML")
        parser.add_argument("--with-secrets", action="store_true", help="print the credentials of upstreams in plain text")

    def handle(self, *args: Any, **options: Any) -> None:
        """Print the file."""
        try:
            content = exporting.configuration(with_secrets=options["with_secrets"])
        except vault.VaultError as error:
            raise CommandError(str(error)) from error
        self.stdout.write(exporting.as_json(content) if options["json"] else exporting.as_yaml(content))

"""The options of commands about files of other gateways."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.conf import settings

from pxbin_site.config_files.configuration import Options


def add_choices(parser: ArgumentParser) -> None:
    """The choices about files of other gateways."""
    parser.add_argument("--client-identity", action="store_true", help="proxx: send the headers of Claude Code; check the provider's terms")
    parser.add_argument("--no-catch-all", action="store_true", help="proxx, claude-code-router: no model * for all other names")
    parser.add_argument("--require-keys", action="store_true", help="no model is open to clients without a pxb_ key, even where it was")


def choices_of(options: dict[str, Any]) -> Options:
    """The choices of a command line."""
    return Options(
        variables=settings.VARIABLES,
        client_identity=options["client_identity"],
        catch_all=not options["no_catch_all"],
        require_keys=options["require_keys"],
    )

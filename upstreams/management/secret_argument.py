"""Where `--api-key` takes a secret from: a variable, a file, standard input or, as the last resort, the command line."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentParser
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError

ENV, FILE, STDIN = "env:", "file:", "-"


def add_api_key_options(parser: ArgumentParser) -> None:
    """Add `--api-key` and its two variants."""
    source = parser.add_mutually_exclusive_group()
    source.add_argument(
        "--api-key",
        metavar="KEY",
        help="the upstream's key: env:NAME reads a variable, file:PATH a file, - standard input; a key that is written here itself "
        "can be seen in the list of processes and in the shell's history",
    )
    source.add_argument("--api-key-env", metavar="NAME", help="the same as --api-key env:NAME")
    source.add_argument("--api-key-file", metavar="PATH", help="the same as --api-key file:PATH; - is standard input")


def api_key_of(options: Mapping[str, Any]) -> str | None:
    """The secret that the options name; `None` if they name none. Raises CommandError, without the secret, if it cannot be read."""
    if options["api_key_env"] is not None:
        return _from_environment(options["api_key_env"])
    if options["api_key_file"] is not None:
        return _from_file(options["api_key_file"])
    text: str | None = options["api_key"]
    if text is None:
        return None
    if text == STDIN:
        return _from_file(STDIN)
    if text.startswith(ENV):
        return _from_environment(text.removeprefix(ENV))
    if text.startswith(FILE):
        return _from_file(text.removeprefix(FILE))
    return _required(text, "--api-key")


def _from_environment(name: str) -> str:
    if name not in os.environ:
        raise CommandError(f"--api-key: the environment has no variable {name}")
    return _required(os.environ[name], f"the variable {name}")


def _from_file(path: str) -> str:
    if path == STDIN:
        return _required(sys.stdin.readline(), "standard input")
    try:
        return _required(Path(path).read_text(), path)
    except OSError as error:
        raise CommandError(f"--api-key: {path} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise CommandError(f"--api-key: {path} is not a text file") from None


def _required(secret: str, source: str) -> str:
    if not secret.strip():
        raise CommandError(f"--api-key: {source} has no key")
    return secret.strip()

"""References to secrets in configuration files: ``env:NAME``, ``file:PATH``."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import msgspec

ENV, FILE = "env:", "file:"
LARGEST_SECRET_FILE = 64 * 1024


class Secret(msgspec.Struct, frozen=True):
    """A secret. ``text``: empty if its reference leads to nothing. ``reference``: empty if the file holds the secret itself."""

    text: str
    reference: str = ""


def resolve(value: str, variables: Mapping[str, str], *, directory: Path) -> Secret:
    """The secret of a value in a file, which is a reference or the secret itself. A relative path starts at ``directory``.

    Raises ValueError for a file that cannot be read.
    """
    value = value.strip()
    if value.startswith(ENV):
        return Secret(variables.get(value.removeprefix(ENV), "").strip(), value)
    if value.startswith(FILE):
        return Secret(_content(directory / value.removeprefix(FILE)), value)
    return Secret(value)


def _content(path: Path) -> str:
    try:
        if not path.exists():
            return ""
        if path.stat().st_size > LARGEST_SECRET_FILE:
            raise ValueError(f"{path} is too large for a secret")
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} cannot be read") from error

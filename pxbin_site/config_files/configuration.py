"""What a configuration file says, in one form for all file formats: rows of tables, and what was not taken."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from pxbin_site.config_files.documents import Document, Steps


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """One declared row. ``values``: by the names that pxbin's own files use; another row is named by its label.

    ``place``: where it is in the file, for messages.
    """

    section: str
    values: dict[str, Any]
    place: str


class SettingLine(msgspec.Struct, frozen=True, kw_only=True):
    """A setting that a file holds, by its environment variable. ``value``: masked if it is a secret."""

    name: str
    value: str


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """Choices of the operator about a file of another gateway.

    ``variables``: the environment, for keys that the file only names. ``client_identity``: send the headers of Claude Code.
    ``catch_all``: make the model ``*``. ``require_keys``: no model is open, even where the other gateway's was.
    """

    variables: Mapping[str, str] = {}
    client_identity: bool = False
    catch_all: bool = True
    require_keys: bool = False
    reads_files: bool = True
    """Whether ``file:PATH`` is read."""


class Configuration(msgspec.Struct, kw_only=True):
    """The content of a file.

    ``is_complete``: a column that a row does not name has its default; else it stays as it is. ``sections``: the tables of which the
    file lists all rows, which ``--prune`` reduces to these. ``host``, ``port``: where the other gateway listens.
    """

    format: str
    is_complete: bool = False
    sections: list[str] = []
    rows: list[Row] = []
    settings: list[SettingLine] = []
    warnings: list[str] = []
    not_taken: list[str] = []
    host: str = ""
    port: int | None = None

    def add(self, section: str, place: str, **values: Any) -> None:
        """Declare a row; values that are ``None`` are left out."""
        self.rows.append(Row(section=section, values={name: value for name, value in values.items() if value is not None}, place=place))

    def warn(self, message: str) -> None:
        """Note a sentence for the operator, once."""
        if message not in self.warnings:
            self.warnings.append(message)

    def leave_out(self, document: Document, steps: Steps, reason: str = "") -> None:
        """Note a value that has no counterpart."""
        self.not_taken.append(document.place(steps) + (f" ({reason})" if reason else ""))

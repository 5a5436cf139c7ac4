"""Imports the file of `serve --config` at the start."""

from __future__ import annotations

import hashlib
from pathlib import Path

import msgspec

from accounts.models import ImportedFile
from pxbin_site.config_files import importing
from pxbin_site.config_files.applying import apply
from pxbin_site.config_files.configuration import Configuration, Options


class ConfigFile(msgspec.Struct, frozen=True, kw_only=True):
    """The file with which a gateway is started. ``digest``: of its content and the choices about it."""

    path: Path
    configuration: Configuration
    digest: str


def read(path: Path, options: Options) -> ConfigFile:
    """The content of a file. Raises :class:`~pxbin_site.config_files.documents.ConfigFileError`."""
    configuration = importing.read(path, options)
    choices = f"{options.client_identity} {options.catch_all} {options.require_keys}"
    digest = hashlib.sha256(f"{importing.digest(path)} {choices}".encode()).hexdigest()
    return ConfigFile(path=path.resolve(), configuration=configuration, digest=digest)


def import_once(file: ConfigFile) -> list[str]:
    """Import the rows of a file whose content has changed since its last import; rows that it does not list stay.

    Returns lines for the operator. Raises :class:`~pxbin_site.config_files.documents.ConfigFileError`.
    """
    if not file.configuration.rows:
        return []
    imported = ImportedFile.objects.filter(path=str(file.path)).first()
    if imported is not None and imported.digest == file.digest:
        return [f"{file.path} has not changed since its import on {imported.imported_at:%Y-%m-%d %H:%M} UTC"]
    report = apply(file.configuration)
    ImportedFile.objects.update_or_create(path=str(file.path), defaults={"digest": file.digest})
    return [f"imported {file.path} ({file.configuration.format})", *report.lines()]

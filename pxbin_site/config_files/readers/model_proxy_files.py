"""Where model-proxy's configuration is: the files of a directory, or a bundle. Both give the same entries and variables."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import msgspec

from pxbin_site.conf.sources import read_env_file
from pxbin_site.config_files.documents import ConfigFileError, Document, Steps, read
from pxbin_site.config_files.formats import PXBIN
from pxbin_site.config_files.readers.fields import value_at
from pxbin_site.config_files.secret_references import ENV, FILE

ENV_FILE = ".env"
FOLDERS = {"providers": "providers", "models": "models", "audio_models": "audio-models"}
"""The directory below `config/` of each kind of entry."""
_KEY = re.compile(r"_KEY(_\d+)?$")
BUNDLE_ROOTS = ((), ("bundle",))


class Entry(msgspec.Struct, frozen=True):
    """One provider or logical model: an object of a document, and the name that it has without one in the object."""

    document: Document
    steps: Steps
    name: str


class Setup(msgspec.Struct, kw_only=True):
    """Everything of one installation. ``own_variables``: those of its `.env` or bundle; ``variables``: with the environment."""

    document: Document
    entries: dict[str, list[Entry]]
    own_variables: dict[str, str]
    variables: dict[str, str]
    provider_keys: dict[str, list[str]] = {}
    """Keys that a bundle lists by provider."""
    is_own: bool = False
    """Whether pxbin wrote the bundle: then what it does not say of a row is as it is here."""


def files_of(directory: Path) -> list[Path]:
    """The files of a directory that are read, in a stable order."""
    config = _config_folder(directory)
    files = [path for folder in FOLDERS.values() for path in sorted((config / folder).glob("*.json"))]
    env_file = config.parent / ENV_FILE
    return [*files, *([env_file] if env_file.is_file() else [])]


def from_directory(document: Document, environment: Mapping[str, str]) -> Setup:
    """The setup of the directory that holds `config/`, or of `config/` itself. Raises :class:`ConfigFileError`."""
    directory = Path(document.path)
    config = _config_folder(directory)
    if not any((config / folder).is_dir() for folder in FOLDERS.values()):
        raise ConfigFileError(f"{directory}: there is neither config/models nor config/providers in it")
    own_variables, problems = read_env_file(config.parent / ENV_FILE)
    if problems:
        raise ConfigFileError(*problems)
    entries = {
        kind: [Entry(read(path), (), path.stem) for path in sorted((config / folder).glob("*.json"))] for kind, folder in FOLDERS.items()
    }
    return Setup(document=document, entries=entries, own_variables=own_variables, variables={**own_variables, **environment})


def from_bundle(document: Document, environment: Mapping[str, str]) -> Setup:
    """The setup in a bundle, whose values win over the environment."""
    root = next((steps for steps in BUNDLE_ROOTS if isinstance(value_at(document, (*steps, "setup")), dict)), None)
    if root is None:
        raise document.error((), "is no bundle: it has no setup")
    base = (*root, "setup")
    entries = {kind: list(_bundle_entries(document, (*base, kind))) for kind in FOLDERS}
    is_own = value_at(document, (*root, "exported_by")) == PXBIN
    own_variables = _variables(value_at(document, (*base, "environment")))
    if is_own:  # its settings are those of a running gateway
        own_variables = {name: text for name, text in own_variables.items() if _KEY.search(name)}
    provider_keys: dict[str, list[str]] = {}
    stored = value_at(document, (*base, "api_keys"))
    for name, value in (stored if isinstance(stored, dict) else {}).items():
        if isinstance(value, str) and re.fullmatch(r"[A-Z][A-Z0-9_]*", name):
            own_variables.setdefault(name, value)
        elif isinstance(value, dict) and all(isinstance(text, str) for text in value.values()):
            own_variables = {**value, **own_variables}
        else:
            texts = value if isinstance(value, list) else [value]
            provider_keys[name] = [text for text in texts if isinstance(text, str) and text]
    return Setup(
        document=document,
        entries=entries,
        own_variables=own_variables,
        variables={**environment, **own_variables},
        provider_keys=provider_keys,
        is_own=is_own,
    )


def _config_folder(directory: Path) -> Path:
    config = directory / "config"
    return config if config.is_dir() else directory


def _bundle_entries(document: Document, steps: Steps) -> Iterator[Entry]:
    value = value_at(document, steps)
    items: list[tuple[Any, Any]] = list(value.items() if isinstance(value, dict) else enumerate(value if isinstance(value, list) else ()))
    for key, item in items:
        entry_steps: Steps = (*steps, key)
        if isinstance(item, dict) and isinstance(item.get("config"), dict):
            entry_steps = (*entry_steps, "config")
        yield Entry(document, entry_steps, str(key) if isinstance(key, str) else str((item or {}).get("name", "")))


def _variables(value: Any) -> dict[str, str]:
    """The variables of a bundle: an object, or a list of objects with a key or name and a value."""
    if isinstance(value, dict):
        texts = {str(name): str(text) for name, text in value.items() if isinstance(text, str | int | float) and text != ""}
        return {name: text for name, text in texts.items() if not text.startswith((ENV, FILE))}  # references are no values
    pairs = [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
    return {str(item.get("key") or item.get("name")): str(item["value"]) for item in pairs if item.get("value")}

"""Reads pxbin's own files: a YAML file of settings, or the rows of a configuration as `export_config` writes them."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from accounts import keys
from pxbin_site.conf.config import Config
from pxbin_site.conf.setting import declarations
from pxbin_site.conf.sources import as_text
from pxbin_site.config_files import secret_references, sections
from pxbin_site.config_files.configuration import Configuration, Options, SettingLine
from pxbin_site.config_files.documents import ConfigFileError, Document, Steps
from pxbin_site.config_files.formats import PXBIN, holds_settings
from pxbin_site.config_files.readers.fields import objects, of_type
from pxbin_site.config_files.sections import SECTIONS
from upstreams.presets import PRESETS, merge_preset

VERSION = 1
MASK = "********"
PARENTS = {section.parent: section for section in SECTIONS.values() if section.parent}
REQUIRED = {"upstreams": "name", "models": "name", "routes": "upstream", "owners": "name", "pools": "name"}
"""The field that a row must have, if it is not part of what the tables check."""
SHORTHANDS = {"upstreams": ("api_key",), "models": ("upstream", "remote_name"), "credentials": ("secret",), "keys": ("key",)}
SHORTHANDS["management_keys"] = SHORTHANDS["keys"]
"""Fields of rows that are no columns."""


def read(document: Document, options: Options) -> Configuration:
    """The configuration of a file. Raises :class:`ConfigFileError` with every error."""
    if holds_settings(document):
        return _settings(document)
    reader = _Reader(document, options)
    reader.read()
    if reader.problems:
        raise ConfigFileError(*reader.problems)
    return reader.configuration


def _settings(document: Document) -> Configuration:
    """The settings of a file by their environment variables; it has no rows."""
    configuration = Configuration(format=PXBIN)
    problems = []
    settings = declarations(Config)
    for name, value in (document.value or {}).items():
        setting = settings.get(str(name))
        if setting is None:
            problems.append(f"{document.place((str(name),))}: there is no such setting{_similar(str(name), settings)}")
            continue
        text = as_text(value).strip()
        try:
            if text:
                setting.parse(text)
        except ValueError as error:
            problems.append(f"{document.place((str(name),))}: {error}")
        configuration.settings.append(SettingLine(name=setting.variable, value=MASK if text and setting.setting.is_secret else text))
    if problems:
        raise ConfigFileError(*problems)
    return configuration


class _Reader:
    """Reads the rows of one file."""

    def __init__(self, document: Document, options: Options) -> None:
        self.document, self.options = document, options
        self.configuration = Configuration(format=PXBIN, is_complete=True)
        self.problems: list[str] = []

    def read(self) -> None:
        version = self.document.value.get(PXBIN, VERSION)
        if version != VERSION:
            raise self.document.error((PXBIN,), f"this is version {version} of the format; pxbin reads version {VERSION}")
        top = {section.name: section for section in SECTIONS.values() if not section.parent}
        for name in self.document.value:
            if name in top:
                self._read_section(name)
            elif name != PXBIN:
                self._problem((str(name),), f"there is no such section{_similar(str(name), top)}")

    def _read_section(self, name: str) -> None:
        self.configuration.sections.append(name)
        child = PARENTS.get(SECTIONS[name].noun)
        if child is not None:
            self.configuration.sections.append(child.name)
        value = self.document.value[name]
        try:
            is_one = not SECTIONS[name].identity and isinstance(value, dict)  # a table of one row
            items = [((name,), value)] if is_one else list(objects(self.document, (name,)))
        except ConfigFileError as error:
            self.problems += error.problems
            return
        for steps, item in items:
            self._read_row(name, steps, dict(item))

    def _read_row(self, name: str, steps: Steps, values: dict[str, Any], parent: str | None = None) -> None:
        child = PARENTS.get(SECTIONS[name].noun)
        children = values.pop(child.name, None) if child is not None else None
        field_names = [*sections.columns(name), *sections.many_columns(name), *SHORTHANDS.get(name, ())]
        for field in [field for field in values if field not in field_names]:
            del values[field]
            self._problem((*steps, field), f"there is no such field{_similar(field, field_names)}")
        try:
            shorthands = self._complete(name, steps, values)
        except (ConfigFileError, ValueError) as error:
            self.problems += error.problems if isinstance(error, ConfigFileError) else [f"{self.document.place(steps)}: {error}"]
            return
        if parent is not None:
            values[SECTIONS[name].parent] = parent
        self.configuration.add(name, self.document.place(steps))
        self.configuration.rows[-1].values.update(values)
        if child is None:
            return
        label = f"{values['path_prefix']}/{values['name']}" if values.get("path_prefix") else str(values["name"])
        if children is not None:
            for child_steps, item in objects(self.document, (*steps, child.name)):
                self._read_row(child.name, child_steps, dict(item), label)
        if shorthands is not None:
            self._read_row(child.name, steps, shorthands, label)

    def _complete(self, name: str, steps: Steps, values: dict[str, Any]) -> dict[str, Any] | None:
        """Replace the shorthands in the values of a row. Returns the values of the child row that they stand for, if any."""
        required = REQUIRED.get(name)
        if required and not values.get(required):
            raise self.document.error(steps, f"{required} is missing")
        if name in {"keys", "management_keys"}:
            self._hash(steps, values)
        elif name == "credentials":
            values.setdefault("name", "")
            if "secret" in values:
                values["secret"] = self._secret((*steps, "secret"), values["secret"])
        elif name == "upstreams":
            self._merge_preset(values)
            if api_key := values.pop("api_key", None):
                return {"name": "default", "secret": api_key}
        elif name == "models" and "upstream" in values:
            return {"upstream": values.pop("upstream"), "remote_name": values.pop("remote_name", "")}
        elif name == "models":
            values.pop("remote_name", None)
        return None

    def _secret(self, steps: Steps, value: Any) -> secret_references.Secret:
        text = of_type(self.document, steps, value, str)
        if text.strip().startswith(secret_references.FILE) and not self.options.reads_files:
            return secret_references.Secret("", text.strip())
        return secret_references.resolve(text, self.options.variables, directory=Path(self.document.path).parent)

    def _hash(self, steps: Steps, values: dict[str, Any]) -> None:
        """Replace ``key``, a key or a reference to one, by its hash."""
        key = values.pop("key", None)
        if key is not None:
            secret = self._secret((*steps, "key"), key)
            if not secret.text:
                raise self.document.error((*steps, "key"), f"{secret.reference or 'the key'} is empty")
            values |= {"key_hash": keys.hash_key(secret.text), "key_prefix": keys.shown_prefix(secret.text)}
        if not values.get("key_hash"):
            raise self.document.error(steps, "key_hash is missing; key: env:NAME takes the key itself from the environment")

    @staticmethod
    def _merge_preset(values: dict[str, Any]) -> None:
        """Fill in the fields of a preset, if the row does not state its base URL."""
        preset = PRESETS.get(values.get("preset") or "")
        if preset is not None and "base_url" not in values:
            merged = merge_preset(preset, {name: value for name, value in values.items() if name != "format"})
            dialect = merged.pop("dialect")
            values |= {**merged, "format": values.get("format") or dialect}

    def _problem(self, steps: Steps, message: str) -> None:
        self.problems.append(f"{self.document.place(steps)}: {message}")


def _similar(name: str, field_names: Mapping[str, Any] | list[str]) -> str:
    similar = get_close_matches(name, list(field_names), n=1)
    return f" (did you mean {similar[0]}?)" if similar else ""

"""The gateway's configuration as a file: everything but secrets, for which references stand."""

from __future__ import annotations

import json
import re
from typing import Any

import yaml

from pxbin_site.config_files import sections
from pxbin_site.config_files.formats import PXBIN
from pxbin_site.config_files.readers.pxbin import PARENTS, VERSION
from pxbin_site.config_files.secret_references import ENV
from pxbin_site.config_files.sections import SECTIONS, Section
from upstreams.models import UpstreamCredential
from upstreams.secrets import store

HEADER = "# The configuration of a pxbin gateway. manage.py import_config reads it; secrets are references: env:NAME or file:PATH.\n"
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")


def configuration(*, with_secrets: bool = False) -> dict[str, Any]:
    """All rows as a file has them. Values that are the defaults are left out. ``with_secrets``: credentials in plain text."""
    names = references()
    exported: dict[str, Any] = {PXBIN: VERSION}
    for section in SECTIONS.values():
        if section.parent:
            continue
        child = PARENTS.get(section.noun)
        rows = []
        children = _children(child, names, with_secrets=with_secrets) if child is not None else {}
        for row in sections.rows_of(section.name):
            values = _values(section, row)
            if child is not None and row.pk in children:
                values[child.name] = children[row.pk]
            rows.append(values)
        exported[section.name] = rows if section.identity else next(iter(rows), None)
    return exported


def as_yaml(content: dict[str, Any]) -> str:
    """The text of a file. Its order is that of the rows, so that versions of it can be compared."""
    return HEADER + yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=140, default_flow_style=False)


def as_json(content: dict[str, Any]) -> str:
    """The same as JSON."""
    return json.dumps(content, indent=2, ensure_ascii=False)


def _values(section: Section, row: Any) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, field in sections.columns(section.name).items():
        value = sections.file_value(field, row)
        is_default = not sections.has_own_default(field) and getattr(row, field.attname) == sections.default(field)
        if name != section.parent and (not is_default or name in section.identity or name == "base_url"):
            values[name] = value
    for name, many in sections.many_columns(section.name).items():
        if names := sorted(sections.reference(other) for other in getattr(row, many.name).all()):
            values[name] = names
    if section.name == "prices":
        values = {name: value for name, value in values.items() if value not in (None, "")}
    first = [name for name in (*reversed(section.identity), "name") if name in values]
    return {name: values[name] for name in dict.fromkeys([*reversed(first), *values]) if not _is_blank(section, name, values[name])}


def _is_blank(section: Section, name: str, value: Any) -> bool:
    """Whether a part of the identity is not worth writing: an empty one."""
    return name in section.identity and value in (None, "") and name != "name"


def _children(section: Section, names: dict[Any, str], *, with_secrets: bool) -> dict[Any, list[dict[str, Any]]]:
    children: dict[Any, list[dict[str, Any]]] = {}
    for row in sections.rows_of(section.name):
        values = _values(section, row)
        if isinstance(row, UpstreamCredential) and row.secret_encrypted:
            secret = store.decrypt(row.secret_encrypted) if with_secrets else names[row.pk]
            values = {"name": row.name, "secret": secret, **values}
        children.setdefault(getattr(row, f"{section.parent}_id"), []).append(values)
    return children


def references() -> dict[Any, str]:
    """The reference of each credential's secret: where it came from, else an environment variable of a name of its own."""
    names: dict[Any, str] = {}
    for row in sections.rows_of("credentials"):
        if row.secret_reference:
            names[row.pk] = row.secret_reference
            continue
        variable = row.name if _VARIABLE.fullmatch(row.name) else f"{row.upstream.name}_{'' if row.name == 'default' else row.name}_API_KEY"
        name = ENV + re.sub(r"^(?=[0-9])", "KEY_", re.sub(r"[^A-Z0-9]+", "_", variable.upper()).strip("_"))
        taken = set(names.values())
        number = 2
        free = name
        while free in taken:
            free, number = f"{name}_{number}", number + 1
        names[row.pk] = free
    return names

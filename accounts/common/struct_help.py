"""Help texts for JSON fields of forms: the names, types and descriptions of a msgspec struct's fields."""

from __future__ import annotations

import functools

import msgspec
from django.utils.html import conditional_escape, format_html, format_html_join
from msgspec import inspect

_JSON_TYPES: dict[type[inspect.Type], str] = {
    inspect.BoolType: "true or false",
    inspect.IntType: "number",
    inspect.FloatType: "number",
    inspect.StrType: "text",
    inspect.NoneType: "null",
}


@functools.cache
def fields_of(struct: type[msgspec.Struct]) -> tuple[tuple[str, str, str], ...]:
    """Name, JSON type and description of each field; a description is the ``msgspec.Meta(description=…)`` of its annotation."""
    info = inspect.type_info(struct)
    assert isinstance(info, inspect.StructType)
    return tuple((field.encode_name, _json_type(field.type, field.default), _description(field.type)) for field in info.fields)


def with_fields(text: str, struct: type[msgspec.Struct]) -> str:
    """A help text as HTML, followed by the collapsed list of the fields of ``struct``."""
    rows = format_html_join("", "<dt><code>{}</code> <span>{}</span></dt><dd>{}</dd>", fields_of(struct))
    return format_html(
        '{}<details class="pxbin-names"><summary>All names and their values</summary><dl>{}</dl></details>', conditional_escape(text), rows
    )


def _description(info: inspect.Type) -> str:
    schema = info.extra_json_schema if isinstance(info, inspect.Metadata) else None
    return str((schema or {}).get("description", ""))


def _json_type(info: inspect.Type, default: object = None) -> str:
    """A type in terms of JSON, without ``null``; of literals the default comes first."""
    if isinstance(info, inspect.Metadata):
        return _json_type(info.type, default)
    if isinstance(info, inspect.UnionType):
        return " or ".join(_json_type(part, default) for part in info.types if not isinstance(part, inspect.NoneType))
    if isinstance(info, inspect.LiteralType):
        return " or ".join(f'"{value}"' for value in sorted(info.values, key=lambda value: value != default))
    if isinstance(info, (inspect.VarTupleType, inspect.ListType)):
        return f"list of {_json_type(info.item_type)}"
    return _JSON_TYPES.get(type(info), "object")

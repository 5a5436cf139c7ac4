"""JSON Schemas in the subset that the API accepts for output formats and strict tools (docs/wire-formats.md, section 7.10).

The API answers 400 to keywords outside the subset and to an object without ``"additionalProperties": false``. The rules are those
of ``transform_schema`` in Anthropic's SDK (``lib/_parse/_transform.py``): keywords that are not supported move into the
description, so that the model still reads them.
"""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.errors import ClientMistake

_STRING_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_KEYWORDS_OF_TYPE: dict[str, frozenset[str]] = {
    "object": frozenset({"properties", "required", "additionalProperties", "minProperties", "maxProperties", "patternProperties"}),
    "array": frozenset({"items", "minItems", "maxItems", "uniqueItems", "prefixItems", "contains"}),
    "string": frozenset({"format", "minLength", "maxLength", "pattern"}),
    "number": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
    "integer": frozenset({"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"}),
}
_TYPED_KEYWORDS = frozenset().union(*_KEYWORDS_OF_TYPE.values())
_VARIANTS = (("anyOf", "anyOf"), ("oneOf", "anyOf"), ("allOf", "allOf"))
"""Keywords with a list of schemas, and the keyword under which they are sent. The first one that is present is used."""


def strict_schema(schema: Raw, *, at: str) -> Raw:
    """``schema`` in the accepted subset.

    Raises :class:`ClientMistake` with the path ``at`` if it is nested too deeply, and for a number that no float can hold.

    A schema without any type, which the SDK refuses, is sent unchanged: the API's own message says what is wrong.
    """
    try:
        return Raw(json_wire.encode(_transform(json_wire.decode_value(schema, at=at))))
    except RecursionError:
        raise ClientMistake(f"{at}: the schema is nested too deeply", param=at) from None


def _transform(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    rest = dict(schema)
    sent: dict[str, Any] = {}
    for name in ("$defs", "definitions"):
        if isinstance(rest.get(name), dict):
            sent[name] = {key: _transform(inner) for key, inner in rest.pop(name).items()}
    if "$ref" in rest:
        return {**sent, "$ref": rest["$ref"]}
    kind = rest.pop("type", None)
    if isinstance(kind, list):
        return sent | _with_notes(_transform_alternatives(kind, rest), rest)
    sent |= _literals(rest)
    if sent.keys() & {"enum", "const"}:
        kind = None
    variants = [(name, target, rest.pop(name)) for name, target in _VARIANTS if isinstance(rest.get(name), list)]
    if variants:
        _, target, members = variants[0]
        sent[target] = [_transform(member) for member in members]
        rest |= {name: members for name, _, members in variants[1:]}
    elif kind is not None:
        sent["type"] = kind
    sent |= {name: rest.pop(name) for name in ("description", "title") if rest.get(name) is not None}
    if isinstance(kind, str) and kind in _TYPES:
        sent |= _TYPES[kind](rest)
    return _with_notes(sent, rest)


def _literals(rest: dict[str, Any]) -> dict[str, Any]:
    """``enum`` and ``const``, taken from ``rest`` if all their values are primitive."""
    literals: dict[str, Any] = {}
    if isinstance(rest.get("enum"), list) and rest["enum"] and all(map(_is_primitive, rest["enum"])):
        literals["enum"] = rest.pop("enum")
    if "const" in rest and _is_primitive(rest["const"]):
        literals["const"] = rest.pop("const")
    return literals


def _is_primitive(value: object) -> bool:
    return value is None or isinstance(value, str | int | float | bool)


def _transform_alternatives(kinds: list[Any], rest: dict[str, Any]) -> dict[str, Any]:
    """A schema with a list of types as ``anyOf``, or as its literals alone; each type takes its own keywords from ``rest``."""
    sent = _literals(rest)
    sent |= {name: rest.pop(name) for name in ("description", "title") if rest.get(name) is not None}
    if sent.keys() & {"enum", "const"}:
        return sent
    typed = {name: rest.pop(name) for name in list(rest) if name in _TYPED_KEYWORDS}
    members = []
    for kind in kinds:
        keywords = _KEYWORDS_OF_TYPE.get(kind, frozenset()) if isinstance(kind, str) else frozenset()
        own = {name: value for name, value in typed.items() if name in keywords}
        members.append(_transform({"type": kind, **own}))
    return {**sent, "anyOf": members}


def _transform_object(rest: dict[str, Any]) -> dict[str, Any]:
    properties = rest.pop("properties", None) or {}
    rest.pop("additionalProperties", None)
    sent: dict[str, Any] = {"properties": properties, "additionalProperties": False}
    if isinstance(properties, dict):
        sent["properties"] = {name: _transform(inner) for name, inner in properties.items()}
    if rest.get("required") is not None:
        sent["required"] = rest.pop("required")
    return sent


def _transform_string(rest: dict[str, Any]) -> dict[str, Any]:
    return _taken(rest, "format", _STRING_FORMATS)


def _transform_array(rest: dict[str, Any]) -> dict[str, Any]:
    sent: dict[str, Any] = {}
    if rest.get("items") is not None:
        sent["items"] = _transform(rest.pop("items"))
    return sent | _taken(rest, "minItems", frozenset({0, 1}))


def _taken(rest: dict[str, Any], name: str, accepted: frozenset[Any]) -> dict[str, Any]:
    """The keyword if its value is accepted; otherwise it stays in ``rest``, as the last of the notes."""
    if rest.get(name) is None:
        return {}
    value = rest.pop(name)
    if isinstance(value, str | int) and value in accepted:
        return {name: value}
    rest[name] = value
    return {}


_TYPES = {"object": _transform_object, "string": _transform_string, "array": _transform_array}


def _with_notes(sent: dict[str, Any], rest: dict[str, Any]) -> dict[str, Any]:
    """``sent``, with the keywords of ``rest`` at the end of its description."""
    if not rest:
        return sent
    notes = "{" + ", ".join(f"{name}: {value}" for name, value in rest.items()) + "}"
    description = sent.get("description")
    return {**sent, "description": f"{description}\n\n{notes}" if description is not None else notes}

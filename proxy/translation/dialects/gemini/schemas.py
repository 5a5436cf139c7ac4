"""Schemas of the API (a subset of OpenAPI 3.0) as JSON Schema: types in capitals, ``nullable``, numbers as strings, own keywords."""

from __future__ import annotations

from typing import Any

from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.gemini.wire import camel_case
from proxy.translation.errors import ClientMistake

_NUMBERS = frozenset({"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"})
"""64-bit integers, which protobuf's JSON writes as strings."""
_SCHEMAS = frozenset({"items"})
_LISTS = frozenset({"anyOf", "prefixItems"})
_MAPS = frozenset({"properties", "defs"})
_OWN = frozenset({"propertyOrdering", "nullable", "example"})
_RENAMED = {"defs": "$defs", "ref": "$ref"}
_OWN_FORMATS = frozenset({"enum", "float", "double", "int32", "int64"})


def json_schema(raw: Raw, *, at: str) -> Raw:
    """A schema of the API as JSON Schema. Raises :class:`ClientMistake` unless it is an object."""
    value = json_wire.decode_value(raw, at=at)
    if not isinstance(value, dict):
        raise ClientMistake(f"{at}: must be an object", param=at)
    return Raw(json_wire.encode(_converted(value)))


def _converted(schema: Any) -> Any:
    if not isinstance(schema, dict):
        return schema
    converted: dict[str, Any] = {}
    for key, value in schema.items():
        name = key if key.startswith("$") else camel_case(key)
        if name in _OWN or (name == "format" and value in _OWN_FORMATS):
            continue
        converted[_RENAMED.get(name, name)] = _converted_value(name, value)
    if schema.get("nullable") is True and isinstance(converted.get("type"), str):
        converted["type"] = [converted["type"], "null"]
    if converted.get("type") == "type_unspecified":
        del converted["type"]
    if "example" in schema:
        converted["examples"] = [schema["example"]]
    return converted


def _converted_value(name: str, value: Any) -> Any:
    if name == "type":
        return value.lower() if isinstance(value, str) else value
    if name in _NUMBERS and isinstance(value, str) and value.isdecimal():
        return int(value)
    if name in _SCHEMAS:
        return _converted(value)
    if name in _LISTS and isinstance(value, list):
        return [_converted(item) for item in value]
    if name in _MAPS and isinstance(value, dict):
        return {key: _converted(item) for key, item in value.items()}
    return _converted(value) if name == "additionalProperties" else value

"""OpenAI's strict subset of JSON Schema, which Chat and Responses share (docs/wire-formats.md, section 7.10).

With ``"strict": true`` the APIs answer 400 to a schema outside the subset. Source: ``lib/_pydantic.py`` of OpenAI's SDK
(``to_strict_json_schema``) and its guide for structured outputs.
"""

from __future__ import annotations

from typing import Any

import msgspec

_REFUSED = frozenset(
    {
        "allOf", "oneOf", "not", "if", "then", "else", "dependentRequired", "dependentSchemas", "patternProperties", "propertyNames",
        "unevaluatedProperties", "unevaluatedItems", "contains", "minContains", "maxContains", "minProperties", "maxProperties",
        "uniqueItems", "prefixItems",
    }
)  # fmt: skip
_TYPING = frozenset({"type", "anyOf", "$ref", "enum", "const"})
"""Every schema of the subset has one of these keywords."""


def is_strict(schema: msgspec.Raw | None) -> bool:
    """Whether ``schema`` is in the subset: its root is an object, and each object closes and requires all its properties."""
    if schema is None:
        return True  # a tool without arguments gets an empty closed schema from the API
    try:
        root = msgspec.json.decode(schema)
        return isinstance(root, dict) and root.get("type") == "object" and _fits(root)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _fits(schema: Any) -> bool:
    if not isinstance(schema, dict) or schema.keys() & _REFUSED or not schema.keys() & _TYPING:
        return False
    kinds = schema["type"] if isinstance(schema.get("type"), list) else [schema.get("type")]
    if "object" in kinds and not _is_closed(schema):
        return False
    members = schema.get("anyOf") or []
    named = [schema.get(name) or {} for name in ("properties", "$defs", "definitions")]
    if not isinstance(members, list) or not all(isinstance(schemas, dict) for schemas in named):
        return False
    inner = [*([schema["items"]] if "items" in schema else []), *members]
    return all(map(_fits, [*inner, *(nested for schemas in named for nested in schemas.values())]))


def _is_closed(schema: dict[str, Any]) -> bool:
    properties, required = schema.get("properties") or {}, schema.get("required") or []
    if not isinstance(properties, dict) or not isinstance(required, list) or not all(isinstance(name, str) for name in required):
        return False
    return schema.get("additionalProperties") is False and set(properties) == set(required)

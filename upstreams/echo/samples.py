"""Values that satisfy a simple JSON schema, and the JSON objects in a text. Pure functions.

Supported: type (also a list of types), properties and required, items and prefixItems with minItems, enum, const,
default, $ref into $defs, anyOf/oneOf/allOf, minimum/maximum and their exclusive forms, multipleOf, minLength and
maxLength, common string formats. Not supported: pattern, patternProperties, not, if/then/else, dependencies.
"""

import json
import math
from collections.abc import Iterator
from typing import Any, cast

_MAX_DEPTH = 8
_FORMATS = {
    "date-time": "2026-01-02T03:04:05Z",
    "date": "2026-01-02",
    "time": "03:04:05Z",
    "duration": "PT1S",
    "email": "someone@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "uuid": "00000000-0000-4000-8000-000000000000",
}


def sample(schema: dict[str, Any], *, text: str | None = None) -> Any:
    """A value for `schema`. Free strings become `text`, or the property's own name when `text` is None."""
    return _sample(schema, _Context(schema, text), name="value", depth=0)


def objects_in(text: str) -> Iterator[dict[str, Any]]:
    """The outermost JSON objects in `text`, in order."""
    decoder = json.JSONDecoder()
    at = text.find("{")
    while at >= 0:
        try:
            value, end = decoder.raw_decode(text, at)
        except ValueError:
            end = at + 1
        else:
            yield value
        at = text.find("{", end)


class _Context:
    def __init__(self, root: dict[str, Any], text: str | None) -> None:
        self.root = root
        self.text = text

    def resolve(self, schema: Any) -> dict[str, Any]:
        """Follow `$ref` (only `#/…` pointers) and merge `allOf`; a value that is not a schema becomes an empty schema."""
        followed = 0
        while isinstance(schema, dict) and "$ref" in schema and followed < _MAX_DEPTH:
            target: Any = self.root
            for step in str(schema["$ref"]).removeprefix("#").strip("/").split("/"):
                if step:
                    target = target.get(step.replace("~1", "/").replace("~0", "~"), {}) if isinstance(target, dict) else {}
            schema, followed = target, followed + 1
        if not isinstance(schema, dict):
            return {}
        if isinstance(schema.get("allOf"), list):
            merged: dict[str, Any] = {key: value for key, value in schema.items() if key != "allOf"}
            for branch in schema["allOf"]:
                for key, value in self.resolve(branch).items():
                    present = merged.get(key)
                    if isinstance(present, dict) and isinstance(value, dict):
                        merged[key] = present | value
                    elif isinstance(present, list) and isinstance(value, list):
                        merged[key] = present + [item for item in value if item not in present]
                    else:
                        merged.setdefault(key, value)
            return merged
        return cast("dict[str, Any]", schema)


def _sample(raw: Any, context: _Context, *, name: str, depth: int) -> Any:
    schema = context.resolve(raw)
    for key in ("const", "default"):
        if key in schema:
            return schema[key]
    for key in ("enum", "examples"):
        if isinstance(schema.get(key), list) and schema[key]:
            return schema[key][0]
    for key in ("anyOf", "oneOf"):
        if isinstance(schema.get(key), list) and schema[key]:
            return _sample(_first_finite(schema[key], context, depth), context, name=name, depth=depth + 1)
    return _of_kind(_kind(schema, depth), schema, context, name=name, depth=depth)


def _of_kind(kind: str, schema: dict[str, Any], context: _Context, *, name: str, depth: int) -> Any:
    if kind == "object":
        return _object(schema, context, depth)
    if kind == "array":
        return _array(schema, context, name=name, depth=depth)
    if kind in ("integer", "number"):
        return _number(schema, whole=kind == "integer")
    if kind in ("boolean", "null"):
        return True if kind == "boolean" else None
    return _string(schema, context.text if context.text is not None else name)


def _first_finite(branches: list[Any], context: _Context, depth: int) -> Any:
    """The first branch; deep in a recursive schema the first one that ends the recursion, if there is one."""
    if depth >= _MAX_DEPTH:
        for branch in branches:
            if _kind(context.resolve(branch), depth) not in ("object", "array"):
                return branch
    return branches[0]


def _kind(schema: dict[str, Any], depth: int) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        return "null" if depth >= _MAX_DEPTH and "null" in kind else str(kind[0]) if kind else "string"
    if kind is None:
        return "object" if "properties" in schema else "array" if "items" in schema or "prefixItems" in schema else "string"
    return str(kind)


def _object(schema: dict[str, Any], context: _Context, depth: int) -> dict[str, Any]:
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    required = schema.get("required")
    required = required if isinstance(required, list) else []
    names = list(properties) if depth < _MAX_DEPTH // 2 else [name for name in properties if name in required]
    names += [name for name in required if name not in properties]
    if depth > 4 * _MAX_DEPTH:
        names = []
    return {name: _sample(properties.get(name, {}), context, name=name, depth=depth + 1) for name in names}


def _array(schema: dict[str, Any], context: _Context, *, name: str, depth: int) -> list[Any]:
    fixed = schema.get("prefixItems")
    values = [_sample(item, context, name=name, depth=depth + 1) for item in fixed] if isinstance(fixed, list) else []
    least = schema.get("minItems", 0 if fixed or depth >= _MAX_DEPTH // 2 else 1)
    most = schema.get("maxItems", least)
    missing = min(int(least), int(most), 100) - len(values)
    return values + [_sample(schema.get("items", {}), context, name=name, depth=depth + 1)] * missing


def _number(schema: dict[str, Any], *, whole: bool) -> float:
    step = schema.get("multipleOf") or 1
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    value = 1.0 * step
    if low is not None and (value < low or (value == low and "exclusiveMinimum" in schema)):
        value = math.ceil(low / step) * step
        value += step if value == schema.get("exclusiveMinimum") else 0
    elif high is not None and (value > high or (value == high and "exclusiveMaximum" in schema)):
        value = math.floor(high / step) * step
        value -= step if value == schema.get("exclusiveMaximum") else 0
    return int(value) if whole or float(value).is_integer() else value


def _string(schema: dict[str, Any], text: str) -> str:
    text = _FORMATS.get(str(schema.get("format")), text)
    least, most = schema.get("minLength", 0), schema.get("maxLength")
    return text.ljust(int(least), ".")[: None if most is None else int(most)]

"""The schemas of output formats and strict tools, compared with what Anthropic's own SDK makes of them."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from anthropic import transform_schema

from proxy.translation.dialects.anthropic.strict_schema import strict_schema
from proxy.translation.errors import ClientMistake

PERSON = {
    "type": "object",
    "title": "Person",
    "properties": {
        "age": {"type": "integer", "minimum": 0, "description": "In years"},
        "name": {"type": "string", "minLength": 1, "pattern": "^[a-z]+$"},
        "mail": {"type": "string", "format": "email"},
        "code": {"type": "string", "format": "zip"},
        "tags": {"type": "array", "items": {"type": "string", "maxLength": 5}, "minItems": 2, "uniqueItems": True},
        "one": {"type": "array", "items": {"$ref": "#/$defs/Pet"}, "minItems": 1},
        "kind": {"type": "string", "enum": ["a", "b"], "default": "a"},
        "fixed": {"const": 3},
        "either": {"oneOf": [{"type": "null"}, {"type": "number", "multipleOf": 0.5}]},
    },
    "required": ["age"],
    "additionalProperties": True,
    "$defs": {"Pet": {"type": "object", "properties": {"x": {"allOf": [{"type": "boolean"}]}}}},
}


def sent_schema(schema: Any) -> Any:
    return msgspec.json.decode(strict_schema(msgspec.Raw(msgspec.json.encode(schema)), at="x"))


@pytest.mark.parametrize("schema", [PERSON, {"$ref": "#/$defs/A", "$defs": {"A": PERSON}}, {"type": "object"}, {"anyOf": [PERSON]}])
def test_a_schema_is_what_the_vendors_sdk_sends(schema: Any) -> None:
    assert sent_schema(schema) == transform_schema(schema)


def test_a_list_of_types_becomes_alternatives() -> None:
    schema = {"type": ["string", "null"], "maxLength": 3, "description": "A name", "default": None}
    assert sent_schema(schema) == {
        "description": "A name\n\n{default: None}",
        "anyOf": [{"type": "string", "description": "{maxLength: 3}"}, {"type": "null"}],
    }


@pytest.mark.parametrize("schema", [{}, True, {"description": "anything"}])
def test_a_schema_without_a_type_is_left_to_the_api(schema: Any) -> None:
    assert sent_schema(schema) == schema


def test_a_schema_that_is_nested_too_deeply_is_refused() -> None:
    schema = b'{"type":"array","items":' * 900 + b"{}" + b"}" * 900
    with pytest.raises(ClientMistake) as caught:
        strict_schema(msgspec.Raw(schema), at="response_format")
    assert (caught.value.failure.param, caught.value.failure.message) == (
        "response_format",
        "response_format: the schema is nested too deeply",
    )


@pytest.mark.parametrize("kind", [{"a": 1}, ["string", {"a": 1}, ["null"]], 7, None, [], "future"])
def test_a_type_of_no_known_form_is_left_to_the_api(kind: object) -> None:
    assert sent_schema({"type": "object", "properties": {"a": {"type": kind}}})["additionalProperties"] is False


@pytest.mark.parametrize("value", [b"1e999", b"[" * 2000 + b"]" * 2000, b'{"a":' * 2000 + b"1" + b"}" * 2000])
def test_a_value_that_cannot_be_read_is_refused(value: bytes) -> None:
    with pytest.raises(ClientMistake) as caught:
        strict_schema(msgspec.Raw(b'{"type":"object","properties":{"a":{"items":' + value + b"}}}"), at="tool f")
    assert caught.value.failure.param == "tool f"

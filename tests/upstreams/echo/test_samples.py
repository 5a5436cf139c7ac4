import pytest

from upstreams.echo import samples

TREE = {
    "$defs": {
        "node": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
            "required": ["name", "next"],
        }
    },
    "$ref": "#/$defs/node",
}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"type": "string"}, "value"),
        ({"type": "string", "maxLength": 3}, "val"),
        ({"type": "string", "minLength": 8}, "value..."),
        ({"type": "string", "format": "date"}, "2026-01-02"),
        ({"type": "integer"}, 1),
        ({"type": "integer", "minimum": 5}, 5),
        ({"type": "integer", "exclusiveMinimum": 5}, 6),
        ({"type": "integer", "maximum": -2}, -2),
        ({"type": "number", "multipleOf": 0.5, "minimum": 1.2}, 1.5),
        ({"type": "boolean"}, True),
        ({"type": "null"}, None),
        ({"type": ["integer", "null"]}, 1),
        ({"enum": ["b", "a"]}, "b"),
        ({"const": 7}, 7),
        ({"type": "string", "default": "x"}, "x"),
        ({"type": "array", "items": {"type": "integer"}}, [1]),
        ({"type": "array", "items": {"type": "integer"}, "minItems": 3}, [1, 1, 1]),
        ({"prefixItems": [{"type": "integer"}, {"type": "boolean"}]}, [1, True]),
        ({"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}, {"city": "city", "days": 1}),
        ({"type": "object", "required": ["anything"]}, {"anything": "anything"}),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, None),
        (
            {"allOf": [{"type": "object", "properties": {"a": {"type": "integer"}}}, {"properties": {"b": {"type": "boolean"}}}]},
            {"a": 1, "b": True},
        ),
        ({"$ref": "#/$defs/nowhere"}, "value"),
    ],
)
def test_a_sample_satisfies_its_schema(schema, value):
    assert samples.sample(schema) == value


def test_free_strings_become_the_text():
    schema = {"type": "object", "properties": {"answer": {"type": "string"}, "kind": {"enum": ["fact"]}}}
    assert samples.sample(schema, text="hello") == {"answer": "hello", "kind": "fact"}


def test_a_recursive_schema_ends():
    value, depth = samples.sample(TREE), 0
    while value["next"] is not None:
        value, depth = value["next"], depth + 1
    assert depth < 10


def test_a_recursion_without_an_end_is_cut():
    endless = {"$defs": {"n": {"type": "object", "properties": {"n": {"$ref": "#/$defs/n"}}, "required": ["n"]}}, "$ref": "#/$defs/n"}
    value, depth = samples.sample(endless), 0
    while value:
        value, depth = value["n"], depth + 1
    assert depth < 40


def test_the_outermost_objects_of_a_text_are_found():
    assert list(samples.objects_in('call it {"a": {"b": 1}} {broken and {"c": [2]}')) == [{"a": {"b": 1}}, {"c": [2]}]

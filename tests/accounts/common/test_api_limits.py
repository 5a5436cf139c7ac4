"""What the documentation of request bodies takes from their tables."""

import pytest
from pydantic import ValidationError

from accounts.api.keys import KeyFields
from accounts.common.api_schema import Ids
from upstreams.api.routes import NewRoute
from upstreams.api.upstream_schema import HealthCheck, NewUpstream


def fields(schema):
    return schema.model_json_schema()["properties"]


def test_numbers_have_the_limits_of_their_columns():
    assert fields(KeyFields)["rate_limit"]["anyOf"] == [
        {"type": "integer", "minimum": 1, "maximum": 2_147_483_647},
        {"type": "null"},
    ]
    assert fields(NewUpstream)["cooldown_seconds"]["anyOf"][0] == {"type": "number", "minimum": 0, "maximum": 31_536_000}


def test_fields_that_a_body_must_have_are_neither_null_nor_empty():
    schema = NewRoute.model_json_schema()
    assert schema["required"] == ["model_id", "upstream_id"]
    assert schema["properties"]["model_id"] == {"title": "Model Id", "type": "string", "format": "uuid", "minLength": 1}
    assert Ids.model_json_schema()["required"] == ["ids"]


def test_of_alternatives_a_body_must_have_one():
    text = {"type": "string", "minLength": 1}
    assert HealthCheck.model_json_schema()["anyOf"] == [
        {"required": ["upstream_id"], "properties": {"upstream_id": text}},
        {"required": ["base_url", "api_key"], "properties": {"base_url": text, "api_key": text}},
    ]


def test_an_integer_may_be_written_with_a_fraction_of_zero():
    assert KeyFields.model_validate({"rate_limit": 5.0}).rate_limit == 5
    with pytest.raises(ValidationError):
        KeyFields.model_validate({"rate_limit": 5.5})

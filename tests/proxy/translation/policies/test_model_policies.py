"""A model's policies: made of its fields, merged into bodies, refused where they make no sense."""

import json

import msgspec
import pytest

from proxy.translation.policies import model_policies
from proxy.translation.policies.model_policies import NONE, Policies, merged_body
from proxy.translation.policies.tool_call_rules import Rules
from upstreams.catalog.entries import ModelEntry

PLAIN = {field: getattr(ModelEntry(id="1", name="m"), field) for field in model_policies.FIELDS}


def test_a_model_without_policies_has_none_at_all():
    assert model_policies.policies_from(PLAIN) is NONE
    assert model_policies.policies_from(PLAIN | {"max_output_tokens": 4096}) is NONE
    assert NONE.shapes_stream is False


def test_policies_are_made_of_a_models_fields():
    fields = PLAIN | {
        "system_replacements": {"a": "b", "": "c"},
        "system_append": "Be terse.\n",
        "inject_progress": True,
        "temperature": 0.0,
        "max_tokens_cap": 10,
        "max_output_tokens": 64,
        "body_defaults": {"seed": 7},
        "tool_enforcement": {"enabled": True, "max_retries": 3},
        "smooth_streaming": True,
    }
    assert model_policies.policies_from(fields) == Policies(
        replacements=(("a", "b"),),
        append="Be terse.",
        inject_progress=True,
        temperature=0.0,
        max_tokens_cap=10,
        max_output_tokens=64,
        defaults={"seed": msgspec.Raw(b"7")},
        rules=Rules(enabled=True, max_retries=3),
        smooth_streaming=True,
    )


@pytest.mark.parametrize(
    ("default", "cap", "largest", "client_limit", "limit"),
    [
        (None, None, None, None, None),
        (None, None, None, 50, 50),
        (100, None, None, None, 100),
        (100, None, None, 50, 50),
        (None, 100, None, 500, 100),
        (None, 100, None, 0, 0),
        (None, 100, None, None, 100),
        (None, 100_000, 8192, None, 8192),
        (100, 200, None, None, 100),
        (100, 200, None, 300, 200),
    ],
)
def test_the_limit_is_the_clients_or_the_default_and_never_above_the_cap(default, cap, largest, client_limit, limit):
    model = Policies(max_tokens_default=default, max_tokens_cap=cap, max_output_tokens=largest)
    assert model.limit(client_limit) == limit


@pytest.mark.parametrize(
    ("defaults", "extensions", "body", "merged"),
    [
        ({"seed": 7}, {}, {"a": 1}, {"a": 1, "seed": 7}),
        ({"seed": 7}, {}, {"seed": 1}, {"seed": 1}),
        ({"seed": 7}, {}, {"seed": None}, {"seed": None}),
        ({}, {"seed": 7}, {"seed": 1}, {"seed": 7}),
        ({}, {"x": {"a": {"b": 1}}}, {}, {"x": {"a": {"b": 1}}}),
        ({}, {"x": {"a": {"b": 1}}}, {"x": {"a": {"c": 2}, "d": 3}}, {"x": {"a": {"c": 2, "b": 1}, "d": 3}}),
        ({}, {"x": {"a": 1}}, {"x": [1]}, {"x": {"a": 1}}),
        ({}, {"x": [2]}, {"x": [1]}, {"x": [2]}),
        ({"x": {"a": 1}}, {"x": {"b": 2}}, {}, {"x": {"a": 1, "b": 2}}),
    ],
)
def test_defaults_fill_gaps_and_extensions_are_merged_in(defaults, extensions, body, merged):
    model = model_policies.policies_from(PLAIN | {"body_defaults": defaults, "body_extensions": extensions})
    assert json.loads(merged_body(json.dumps(body).encode(), model)) == merged


def test_untouched_fields_of_a_merged_body_keep_their_bytes():
    model = model_policies.policies_from(PLAIN | {"body_extensions": {"b": 2}})
    assert merged_body(b'{"a": 1.50,  "text": "\\u00e9",\n"b":1}', model) == b'{"a":1.50,"text":"\\u00e9","b":2}'
    body = b'{ "as": "it is" }'
    assert merged_body(body, NONE) is body


@pytest.mark.parametrize(
    ("fields", "problems"),
    [
        ({}, {}),
        ({"tool_enforcement": {"enabled": True, "max_retries": 50, "empty_response_policy": "lenient"}}, {}),
        ({"tool_enforcement": {"max_retries": 51}}, {"tool_enforcement": "max_retries: must be an integer of at most 50."}),
        ({"tool_enforcement": {"max_retries": 0}}, {"tool_enforcement": "max_retries: must be an integer of at least 1."}),
        (
            {"tool_enforcement": {"stream_chunk_delay_ms": 10_001}},
            {"tool_enforcement": "stream_chunk_delay_ms: must be an integer of at most 10000."},
        ),
        (
            {"tool_enforcement": {"empty_response_policy": "loose"}},
            {"tool_enforcement": "empty_response_policy: 'loose' is not an allowed value."},
        ),
        ({"tool_enforcement": {"enabld": True}}, {"tool_enforcement": "enabld: unknown field."}),
        ({"body_defaults": {"model": "x"}}, {"body_defaults": "model: the gateway sets this itself."}),
        ({"body_extensions": {"stream": 1, "input": []}}, {"body_extensions": "input, stream: the gateway sets this itself."}),
        ({"max_tokens_default": 9, "max_tokens_cap": 5}, {"max_tokens_default": "The default is larger than the cap of 5."}),
    ],
)
def test_policies_that_make_no_sense_are_named(fields, problems):
    assert model_policies.find_problems(PLAIN | fields) == problems

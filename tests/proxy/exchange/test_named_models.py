"""Models that a body names besides the requested one."""

import msgspec
import pytest

from proxy.exchange.named_models import named_models
from proxy.translation.errors import ClientMistake


def fields(**values):
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


def test_names_are_found_in_lists_and_in_objects():
    body = fields(models=["a", "b"], fallbacks=[{"model": "c", "max_tokens": 3}], context_window_fallbacks=[{"d": ["e"]}], model="own")
    assert named_models(body) == [
        ("models.0", "a"),
        ("models.1", "b"),
        ("fallbacks.0.model.0", "c"),
        ("context_window_fallbacks.0.d", "d"),
        ("context_window_fallbacks.0.d.0", "e"),
    ]


def test_tools_and_plugins_may_name_a_model():
    tools = [{"type": "function", "function": {"name": "model"}}, {"type": "advisor_20260301", "name": "advisor", "model": "a"}]
    assert named_models(fields(tools=tools, plugins=[{"id": "web", "model": "b"}, {"id": "file"}])) == [
        ("tools.1.model", "a"),
        ("plugins.0.model", "b"),
    ]
    assert named_models(fields(tools=None)) == []


def test_an_object_with_a_model_may_also_have_the_fallbacks_of_a_group():
    body = fields(fallbacks=[{"own": ["a"], "model": "b", "speed": "fast"}], default_fallbacks=["c"])
    assert named_models(body) == [
        ("fallbacks.0.model.0", "b"),
        ("fallbacks.0.own", "own"),
        ("fallbacks.0.own.0", "a"),
        ("default_fallbacks.0", "c"),
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [(["a"] * 101, "models: the field names more than 100 models"), ("a" * 70_000, "models: the field has more than 65536 bytes")],
)
def test_too_many_names_are_refused(value, message):
    with pytest.raises(ClientMistake) as raised:
        named_models(fields(models=value))
    assert (raised.value.failure.param, raised.value.failure.message) == ("models", message)

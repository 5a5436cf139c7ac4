"""The names of Claude Code's model picker, and the pages of the list that it reads."""

import pytest

from proxy.translation.dialects.anthropic.model_list import encode_models
from proxy.translation.dialects.anthropic.picker import own_names, picker_names
from proxy.translation.dialects.client_api import ModelInfo
from proxy.translation.errors import ClientMistake


def info(name, window=200_000):
    return ModelInfo(
        name=name,
        display_name=name.title(),
        provider="p",
        created=1_800_000_000,
        created_at="2027-01-15T08:00:00Z",
        context_window=window,
        max_output_tokens=8192,
    )


@pytest.mark.parametrize(
    ("name", "window", "expected"),
    [
        ("gpt-6", 999_999, ("claude-pxbin/gpt-6",)),
        ("gpt-6", 1_000_000, ("claude-pxbin/gpt-6", "claude-pxbin/gpt-6[1m]")),
        ("a/b", None, ("claude-pxbin/a/b",)),
        ("claude-sonnet-5", 200_000, ()),
        ("anthropic/claude-sonnet-5", 1_048_576, ("anthropic/claude-sonnet-5[1m]",)),
        ("claude-sonnet-5[1m]", 1_000_000, ()),
    ],
)
def test_a_model_gets_the_names_that_claude_code_accepts(name, window, expected):
    assert picker_names(info(name, window)) == expected
    assert all(name in own_names(picked) for picked in expected)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("claude-pxbin/gpt-6", ("gpt-6",)),
        ("claude-pxbin/gpt-6[1m]", ("gpt-6[1m]", "gpt-6")),
        ("claude-sonnet-5[1m]", ("claude-sonnet-5",)),
        ("gpt-6", ()),
        ("claude-pxbin/", ()),
        ("[1m]", ()),
    ],
)
def test_a_name_of_the_picker_is_resolved_to_the_models_own_name(name, expected):
    assert own_names(name) == expected


def page(**query):
    listed = encode_models([info(name) for name in "abcde"], query)
    return "".join(model["id"] for model in listed["data"]), listed["has_more"], listed["first_id"], listed["last_id"]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({}, ("abcde", False, "a", "e")),
        ({"limit": "1000"}, ("abcde", False, "a", "e")),
        ({"limit": "2"}, ("ab", True, "a", "b")),
        ({"limit": "2", "after_id": "b"}, ("cd", True, "c", "d")),
        ({"limit": "2", "after_id": "c"}, ("de", False, "d", "e")),
        ({"after_id": "e"}, ("", False, None, None)),
        ({"limit": "2", "before_id": "e"}, ("cd", True, "c", "d")),
        ({"limit": "2", "before_id": "c"}, ("ab", False, "a", "b")),
        ({"before_id": "a"}, ("", False, None, None)),
        ({"limit": "2", "after_id": "a", "before_id": "d"}, ("bc", False, "b", "c")),
    ],
)
def test_a_page_begins_after_one_id_or_ends_before_another(query, expected):
    assert page(**query) == expected


@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ({"limit": "0"}, "limit"),
        ({"limit": "1001"}, "limit"),
        ({"limit": "9" * 5000}, "limit"),
        ({"after_id": "z"}, "after_id"),
        ({"before_id": "z"}, "before_id"),
    ],
)
def test_a_page_that_cannot_be_is_refused_with_the_name_of_the_parameter(query, parameter):
    with pytest.raises(ClientMistake) as refused:
        page(**query)
    assert refused.value.failure.param == parameter

import pytest

from proxy.translation.policies.tool_call_rules import Rules
from proxy.translation.quirks import Quirks
from upstreams.api.explained import explained, fields_of


@pytest.mark.parametrize("shape", [Quirks, Rules])
def test_every_field_is_named(shape):
    assert tuple(name for name, _, _ in fields_of(shape)) == shape.__struct_fields__


def test_values_and_meanings_are_told_in_words():
    known = {name: (kind, meaning) for name, kind, meaning in fields_of(Quirks)}
    assert known["images"] == ("true or false", "Takes images; where not, a request with one is refused.")
    assert known["tool_name_limit"] == ("number", "Longest tool name; 0: the dialect's own limit.")
    assert known["efforts"][0] == "list of text"
    assert known["late_system"][0] == '"in_place" or "hoist"'
    assert {name: kind for name, kind, _ in fields_of(Rules)}["max_retries"] == "number"


def test_the_help_is_escaped():
    assert "<dt><code>enabled</code> <span>true or false</span></dt>" in explained("a < b", Rules)
    assert "a &lt; b" in explained("a < b", Rules)

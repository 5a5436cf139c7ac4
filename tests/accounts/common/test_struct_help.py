import pytest

from accounts.common.struct_help import fields_of, with_fields
from proxy.translation.policies.tool_call_rules import Rules
from proxy.translation.quirks import Quirks


@pytest.mark.parametrize("struct", [Quirks, Rules])
def test_every_field_has_a_type_and_a_description(struct):
    assert tuple(name for name, _, _ in fields_of(struct)) == struct.__struct_fields__
    assert [name for name, json_type, description in fields_of(struct) if not json_type or not description] == []


def test_types_are_those_of_json():
    fields = {name: (json_type, description) for name, json_type, description in (*fields_of(Quirks), *fields_of(Rules))}
    assert fields["images"] == ("true or false", "Takes images; if not, a request with one is refused.")
    assert fields["tool_name_limit"] == ("number", "Maximum length of a tool name in characters; 0: the dialect's own.")
    assert {name: fields[name][0] for name in ("max_retries", "api_path", "efforts", "late_system", "settings_refused", "image_urls")} == {
        "max_retries": "number",
        "api_path": "text",
        "efforts": "list of text",
        "late_system": '"in_place" or "hoist"',
        "settings_refused": 'list of "metadata" or "prompt_cache_key" or "service_tier" or "verbosity"',
        "image_urls": "true or false",
    }


def test_the_help_text_is_escaped():
    assert "<dt><code>enabled</code> <span>true or false</span></dt>" in with_fields("a < b", Rules)
    assert "a &lt; b" in with_fields("a < b", Rules)

"""Requests for Anthropic upstreams (tests/cases/anthropic covers decoding)."""

import hashlib
from typing import Any

import pytest
from msgspec import Raw

from proxy.translation.canonical import (
    HostedTool,
    OutputFormat,
    Text,
    Tool,
    ToolChoice,
)
from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.quirks import Quirks
from tests.proxy.translation.dialects.anthropic.samples import (
    canonical_request,
    encode_target,
    encoded,
)


class TestBody:
    def test_a_minimal_request(self) -> None:
        assert encoded(canonical_request()) == {
            "model": "claude-opus-4-5",
            "max_tokens": 8192,
            "messages": [{"role": "user", "content": "Hi"}],
        }

    def test_every_setting_is_encoded_in_its_field(self) -> None:
        request = canonical_request(
            system=(Text("One"), Text("Two")),
            max_tokens=50,
            stop=("END", " \n", ""),
            temperature=0.5,
            top_k=3,
            end_user="someone",
            service_tier="default",
            output=OutputFormat(kind="json_schema", name="n", schema=Raw(b'{"type":"object"}'), strict=True),
        )
        assert encoded(request, encode_target(stream=True)) == {
            "model": "claude-opus-4-5",
            "max_tokens": 50,
            "system": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}],
            "messages": [{"role": "user", "content": "Hi"}],
            "stop_sequences": ["END"],
            "temperature": 0.5,
            "top_k": 3,
            "metadata": {"user_id": "someone"},
            "service_tier": "standard_only",
            "output_config": {
                "format": {"type": "json_schema", "schema": {"type": "object", "properties": {}, "additionalProperties": False}}
            },
            "stream": True,
        }

    def test_settings_that_only_other_dialects_have_are_left_out(self) -> None:
        request = canonical_request(
            metadata={"a": "b"}, verbosity="low", prompt_cache_key="k", service_tier="flex", extra={"seed": Raw(b"1")}, parallel_calls=True
        )
        assert set(encoded(request)) == {"model", "max_tokens", "messages"}

    def test_an_extra_setting_of_another_family_is_left_out(self) -> None:
        request = canonical_request(family="openai_responses", extra={"context_management": Raw(b"[]")})
        assert "context_management" not in encoded(request)

    def test_extra_settings_of_the_family_are_restored(self) -> None:
        extra = {"context_management": Raw(b'{"edits":[]}'), "service_tier": Raw(b'"auto"'), "anthropic_beta": Raw(b'["x"]')}
        body = encoded(canonical_request(family="anthropic", extra=extra))
        assert (body["context_management"], body["service_tier"], "anthropic_beta" in body) == ({"edits": []}, "auto", False)

    @pytest.mark.parametrize(
        ("requested", "maximum", "expected"),
        [(None, None, 8192), (None, 64000, 64000), (None, 100, 1024), (7, 64000, 7), (0, None, 0), (99999, 4096, 99999)],
    )
    def test_the_output_limit(self, requested: int | None, maximum: int | None, expected: int) -> None:
        body = encoded(canonical_request(max_tokens=requested), encode_target(max_output_tokens=maximum))
        assert body["max_tokens"] == expected

    @pytest.mark.parametrize(
        ("temperature", "top_p", "expected"),
        [(1.7, None, {"temperature": 1.0}), (0.2, 0.9, {"temperature": 0.2}), (None, 0.9, {"top_p": 0.9}), (None, None, {})],
    )
    def test_sampling(self, temperature: float | None, top_p: float | None, expected: dict[str, float]) -> None:
        body = encoded(canonical_request(temperature=temperature, top_p=top_p))
        assert {name: body[name] for name in ("temperature", "top_p") if name in body} == expected

    def test_a_long_user_is_hashed(self) -> None:
        assert encoded(canonical_request(end_user="u" * 256))["metadata"] == {"user_id": "u" * 256}
        assert encoded(canonical_request(end_user="u" * 257))["metadata"] == {"user_id": hashlib.sha256(b"u" * 257).hexdigest()}

    def test_a_json_object_is_requested_in_the_system_text(self) -> None:
        body = encoded(canonical_request(system=(Text("Be brief."),), output=OutputFormat(kind="json_object")))
        assert [block["text"] for block in body["system"]] == ["Be brief.", "Respond with a single JSON object."]
        assert "output_config" not in body

    def test_a_missing_schema_becomes_any_object(self) -> None:
        body = encoded(canonical_request(output=OutputFormat(kind="json_schema")))
        assert body["output_config"] == {
            "format": {"type": "json_schema", "schema": {"type": "object", "properties": {}, "additionalProperties": False}}
        }


class TestTools:
    def test_definitions(self) -> None:
        tools = (
            Tool(name="a", description="Does a", schema=Raw(b'{"properties":{"x":{}},"type":"object"}'), strict=True),
            Tool(name="b"),
            Tool(name="c", schema=Raw(b'{"properties":{}}')),
            Tool(name="d", schema=Raw(b'{"type":["object","null"],"$defs":{}}'), family="openai_chat", native={"x": Raw(b"1")}),
            Tool(name="e", schema=Raw(b"true")),
        )
        assert encoded(canonical_request(tools=tools))["tools"] == [
            {
                "name": "a",
                "description": "Does a",
                "input_schema": {"properties": {"x": {}}, "type": "object", "additionalProperties": False},
                "strict": True,
            },
            {"name": "b", "input_schema": {"type": "object", "properties": {}}},
            {"name": "c", "input_schema": {"type": "object", "properties": {}}},
            {"name": "d", "input_schema": {"type": "object", "$defs": {}}},
            {"name": "e", "input_schema": {"type": "object", "properties": {}}},
        ]

    def test_native_settings_and_hosted_tools_are_restored(self) -> None:
        tools = (
            Tool(name="a", schema=Raw(b'{"type":"object"}'), family="anthropic", native={"defer_loading": Raw(b"true")}),
            HostedTool(
                family="anthropic", type="web_search_1", name="web_search", native=Raw(b'{"type":"web_search_1","name":"web_search"}')
            ),
        )
        assert encoded(canonical_request(family="anthropic", tools=tools))["tools"] == [
            {"name": "a", "input_schema": {"type": "object"}, "defer_loading": True},
            {"type": "web_search_1", "name": "web_search"},
        ]

    @pytest.mark.parametrize(
        ("choice", "parallel", "expected"),
        [
            (None, None, None),
            (None, True, None),
            (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
            (ToolChoice(mode="auto"), False, {"type": "auto", "disable_parallel_tool_use": True}),
            (ToolChoice(mode="required"), None, {"type": "any"}),
            (ToolChoice(mode="required"), False, {"type": "any", "disable_parallel_tool_use": True}),
            (ToolChoice(mode="tool", name="a"), None, {"type": "tool", "name": "a"}),
            (ToolChoice(mode="none"), False, {"type": "none"}),
        ],
    )
    def test_the_choice(self, choice: ToolChoice | None, parallel: bool | None, expected: dict[str, Any] | None) -> None:
        body = encoded(canonical_request(tools=(Tool(name="a"),), tool_choice=choice, parallel_calls=parallel))
        assert (body.get("tool_choice"), len(body["tools"])) == (expected, 1)


def test_the_path() -> None:
    assert DIALECT.path(encode_target()) == "/v1/messages"
    assert DIALECT.path(encode_target(quirks=Quirks(api_path="/anthropic/messages"))) == "/anthropic/messages"

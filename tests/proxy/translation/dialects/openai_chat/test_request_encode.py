"""Settings of a request for a Chat upstream."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest

from proxy.translation.canonical import (
    HostedTool,
    OutputFormat,
    ReasoningSetting,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.errors import ClientMistake
from tests.proxy.translation.dialects.openai_chat.samples import (
    KEY,
    SCHEMA,
    assistant,
    encoded_request,
    encoded_settings,
    open_request,
    request,
    target,
    user,
)


@pytest.mark.parametrize(
    ("fields", "quirks", "expected"),
    [
        ({"max_tokens": 100}, {}, {"max_completion_tokens": 100}),
        ({"max_tokens": 100}, {"max_tokens_field": "max_tokens"}, {"max_tokens": 100}),
        ({"stop": ("a", "b", "c", "d", "e")}, {}, {"stop": ["a", "b", "c", "d"]}),
        ({"stop": ("a",)}, {"no_stop": True}, {}),
        ({"temperature": 1.0, "top_p": 0.5}, {}, {"temperature": 1, "top_p": 0.5}),
        ({"temperature": 1.0, "top_p": 0.5}, {"no_sampling": True}, {}),
        ({"top_k": 5}, {}, {}),
        ({"top_k": 5}, {"top_k": True}, {"top_k": 5}),
        ({"service_tier": "standard_only"}, {}, {"service_tier": "default"}),
        ({"service_tier": "auto"}, {}, {}),
        ({"verbosity": "low", "prompt_cache_key": "k", "metadata": {"a": "b"}}, {}, {}),
        ({"end_user": "u"}, {}, {"user": "u"}),
        ({"end_user": "u"}, {"user_field": "none"}, {}),
        ({"end_user": "u" * 100}, {}, {"user": hashlib.sha256(b"u" * 100).hexdigest()}),
        ({"end_user": "u" * 100}, {"user_field": "safety_identifier"}, {"safety_identifier": "u" * 100}),
        ({"end_user": "u" * 129}, {"user_field": "safety_identifier"}, {"safety_identifier": hashlib.sha256(b"u" * 129).hexdigest()}),
        ({"parallel_calls": False}, {}, {}),
        ({"tool_choice": ToolChoice(mode="required")}, {}, {}),
    ],
)
def test_a_setting_of_an_anthropic_client(fields: dict[str, Any], quirks: dict[str, Any], expected: dict[str, Any]) -> None:
    assert encoded_settings(quirks=quirks, **fields) == expected


def test_a_limit_beyond_the_models_maximum_is_lowered_to_it() -> None:
    assert encoded_settings(max_tokens=64000, ceiling=8192) == {"max_completion_tokens": 8192}


def test_too_many_stops_are_refused_by_quirk() -> None:
    with pytest.raises(ClientMistake) as caught:
        encoded_settings(stop=tuple("abcde"), quirks={"too_many_stops": "refuse"})
    assert caught.value.failure.param == "stop"


@pytest.mark.parametrize(
    ("quirks", "expected"), [({}, {"stream": True, "stream_options": {"include_usage": True}}), ({"stream_usage": False}, {"stream": True})]
)
def test_a_stream_always_asks_for_usage(quirks: dict[str, Any], expected: dict[str, Any]) -> None:
    assert encoded_settings(stream=True, quirks=quirks) == expected


def test_a_responses_client_keeps_its_metadata_cache_key_and_verbosity() -> None:
    fields = {"verbosity": "low", "prompt_cache_key": "k", "metadata": {"a": "b"}, "service_tier": "flex"}
    assert encoded_settings("openai_responses", **fields, parallel_calls=True) == fields


@pytest.mark.parametrize(
    ("setting", "quirks", "effort"),
    [
        (ReasoningSetting(mode="budget", budget=1024), {}, "low"),
        (ReasoningSetting(mode="budget", budget=4096), {}, "medium"),
        (ReasoningSetting(mode="budget", budget=12288), {}, "high"),
        (ReasoningSetting(mode="budget", budget=32768), {}, "high"),
        (ReasoningSetting(mode="budget", budget=32768), {"efforts": ("low", "high", "xhigh")}, "xhigh"),
        (ReasoningSetting(mode="adaptive"), {}, None),
        (ReasoningSetting(mode="adaptive", effort="medium"), {}, "medium"),
        (ReasoningSetting(mode="effort", effort="xhigh"), {}, "high"),
        (ReasoningSetting(mode="effort", effort="max"), {"efforts": ("low", "max")}, "max"),
        (ReasoningSetting(mode="effort", effort="max"), {"efforts": ("high", "xhigh")}, "high"),
        (ReasoningSetting(mode="effort", effort="minimal"), {"efforts": ("low", "medium", "high")}, "low"),
        (ReasoningSetting(mode="effort", effort="medium"), {"efforts": ("high",)}, "high"),
        (ReasoningSetting(mode="effort", effort="none"), {}, None),
        (ReasoningSetting(mode="effort", effort="none"), {"efforts": ("none", "low")}, "none"),
        (ReasoningSetting(mode="disabled"), {}, None),
        (ReasoningSetting(mode="disabled"), {"reasoning_off": True}, "none"),
        (ReasoningSetting(mode="effort", effort="low"), {"reasoning_effort": False}, None),
    ],
)
def test_reasoning_becomes_an_effort(setting: ReasoningSetting, quirks: dict[str, Any], effort: str | None) -> None:
    assert encoded_settings(reasoning=setting, quirks=quirks) == ({} if effort is None else {"reasoning_effort": effort})


def test_tools_keep_their_schema_and_none_is_left_out() -> None:
    tools = (Tool(name="f", description="d", schema=SCHEMA, strict=True), Tool(name="g"))
    body = json.dumps(
        encoded_settings("openai_responses", tools=tools, tool_choice=ToolChoice(mode="tool", name="f"), parallel_calls=False)
    )
    assert body == (
        '{"tools": [{"type": "function", "function": {"name": "f", "description": "d", '
        '"parameters": {"type": "object", "zeta": 1, "alpha": 2}, "strict": true}}, {"type": "function", "function": {"name": "g"}}], '
        '"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false}'
    )


def test_a_subset_of_tools_is_named() -> None:
    tools = (Tool(name="f"), Tool(name="g"), Tool(name="h"))
    choice = ToolChoice(mode="auto", subset=("f", "g"))
    assert encoded_settings("openai_responses", tools=tools, tool_choice=choice)["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": name}} for name in ("f", "g")]},
    }


def test_custom_tools_go_as_they_are_to_upstreams_that_know_them() -> None:
    tool_format = msgspec.Raw(b'{"type":"text"}')
    custom_request = request(
        user("x"),
        assistant(ToolCall("c1", "p", "*** Begin", "custom")),
        user(ToolResult("c1", (Text("ok"),), kind="custom")),
        family="openai_responses",
        tools=(Tool(name="p", kind="custom", format=tool_format),),
        tool_choice=ToolChoice(mode="tool", name="p", kind="custom"),
    )
    body = encoded_request(custom_request, supports_custom_tools=True)
    assert body["tools"] == [{"type": "custom", "custom": {"name": "p", "format": {"type": "text"}}}]
    assert body["tool_choice"] == {"type": "custom", "custom": {"name": "p"}}
    assert body["messages"][1]["tool_calls"] == [{"id": "c1", "type": "custom", "custom": {"name": "p", "input": "*** Begin"}}]


def test_hosted_tools_of_chat_return_to_their_position() -> None:
    tools = (
        HostedTool(family="openai_chat", type="web_search_options", name="web_search", native=msgspec.Raw(b"{}")),
        HostedTool(family="openai_chat", type="x", name="x", native=msgspec.Raw(b'{"type":"x"}')),
    )
    assert encoded_settings("openai_chat", tools=tools) == {"web_search_options": {}, "tools": [{"type": "x"}]}


@pytest.mark.parametrize(
    ("family", "output", "expected"),
    [
        (
            "anthropic",
            OutputFormat(kind="json_schema", schema=SCHEMA),
            {"name": "response", "schema": {"type": "object", "zeta": 1, "alpha": 2}, "strict": False},
        ),
        ("openai_responses", OutputFormat(kind="json_schema", name="a b", schema=SCHEMA, description="d"), None),
    ],
)
def test_a_schema_for_the_response(family: str, output: OutputFormat, expected: dict[str, Any] | None) -> None:
    expected = expected or {"name": "a_b", "description": "d", "schema": {"type": "object", "zeta": 1, "alpha": 2}}
    assert encoded_settings(family, output=output) == {"response_format": {"type": "json_schema", "json_schema": expected}}


def test_json_without_a_schema() -> None:
    assert encoded_settings(output=OutputFormat(kind="json_object")) == {"response_format": {"type": "json_object"}}


def test_a_chat_request_that_has_to_be_rebuilt_keeps_chats_own_settings() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi", "name": "ann"}],
        "seed": 7,
        "verbosity": "low",
        "n": 2,
        "store": None,
    }
    encoded = DIALECT.encode_request(DIALECT.decode_request(open_request(body), KEY), target())
    assert json.loads(encoded) == {"model": "up", "messages": body["messages"], "verbosity": "low", "seed": 7, "n": 2}

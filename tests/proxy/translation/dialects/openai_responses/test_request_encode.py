"""Settings and tools of a request for a Responses upstream."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from proxy.translation.canonical import (
    CacheMark,
    HostedTool,
    Message,
    OutputFormat,
    Part,
    ReasoningSetting,
    Tool,
    ToolChoice,
)
from proxy.translation.errors import ClientMistake
from tests.proxy.translation.dialects.openai_responses.samples import encoded, request

OWN = "openai_responses"


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def user(*parts: Part) -> Message:
    return Message("user", parts)


def text(content: str, kind: str = "input_text") -> dict[str, Any]:
    return {"type": kind, "text": content}


def output_text(content: str) -> dict[str, Any]:
    return {"type": "output_text", "text": content, "annotations": []}


# --- the body --------------------------------------------------------------------------------------------------------


def test_the_smallest_body() -> None:
    assert encoded(request("hi")) == {
        "model": "up",
        "input": [{"type": "message", "role": "user", "content": [text("hi")]}],
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }


def test_settings_with_a_responses_field() -> None:
    items = request(
        "hi", family="openai_chat", max_tokens=100, temperature=1.5, top_p=0.9, parallel_calls=False, end_user="u", metadata={"a": "b"},
        service_tier="flex", prompt_cache_key="k", verbosity="low", logprobs=True, top_logprobs=2, stop=("x",), top_k=5,
    )  # fmt: skip
    body = encoded(items, stream=True)
    assert {name: value for name, value in body.items() if name not in ("model", "input")} == {
        "max_output_tokens": 100,
        "temperature": 1.5,
        "top_p": 0.9,
        "parallel_tool_calls": False,
        "safety_identifier": "u",
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "text": {"verbosity": "low"},
        "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
        "top_logprobs": 2,
        "store": False,
        "stream": True,
    }


def test_small_limits_are_raised_to_the_minimum() -> None:
    assert encoded(request("hi", max_tokens=1))["max_output_tokens"] == 16


def test_a_limit_of_zero_is_refused() -> None:
    with pytest.raises(ClientMistake, match="max_tokens: must be at least 1"):
        encoded(request("hi", max_tokens=0))


@pytest.mark.parametrize(("tier", "expected"), [("standard_only", "default"), ("auto", "auto"), ("batch", None), (None, None)])
def test_service_tiers(tier: str | None, expected: str | None) -> None:
    assert encoded(request("hi", service_tier=tier)).get("service_tier") == expected


def test_long_user_ids_are_hashed() -> None:
    assert encoded(request("hi", end_user="u" * 128))["safety_identifier"] == "u" * 128
    assert len(encoded(request("hi", end_user="u" * 129))["safety_identifier"]) == 64
    assert "safety_identifier" not in encoded(request("hi", end_user="u"), user_field="none")


@pytest.mark.parametrize(("model", "expected"), [("gpt-5.5", True), ("o3", True), ("gpt-4o", False), ("openai/gpt-4.1-mini", False)])
def test_encrypted_reasoning_is_requested_of_models_that_reason(model: str, expected: bool) -> None:
    assert ("include" in encoded(request("hi"), model=model)) == expected


def test_encrypted_reasoning_is_requested_with_reasoning() -> None:
    setting = ReasoningSetting(mode="effort", effort="low")
    assert encoded(request("hi", reasoning=setting), model="gpt-4o")["include"] == ["reasoning.encrypted_content"]


# --- reasoning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("setting", "family", "expected"),
    [
        (ReasoningSetting(mode="budget", budget=2048), "anthropic", {"effort": "low", "summary": "auto"}),
        (ReasoningSetting(mode="budget", budget=4096), "anthropic", {"effort": "medium", "summary": "auto"}),
        (ReasoningSetting(mode="budget", budget=12288), "anthropic", {"effort": "high", "summary": "auto"}),
        (ReasoningSetting(mode="budget", budget=40000), "anthropic", {"effort": "high", "summary": "auto"}),
        (ReasoningSetting(mode="adaptive", effort="max"), "anthropic", {"effort": "high", "summary": "auto"}),
        (ReasoningSetting(mode="adaptive", effort="medium"), "anthropic", {"effort": "medium", "summary": "auto"}),
        (ReasoningSetting(mode="adaptive"), "anthropic", {"summary": "auto"}),
        (ReasoningSetting(mode="disabled"), "anthropic", None),
        (ReasoningSetting(mode="effort", effort="xhigh"), "openai_chat", {"effort": "xhigh"}),
        (ReasoningSetting(mode="effort", effort="none"), "openai_chat", {"effort": "none"}),
        (None, "openai_chat", None),
    ],
)
def test_reasoning_efforts(setting: ReasoningSetting | None, family: str, expected: dict[str, str] | None) -> None:
    assert encoded(request("hi", family=family, reasoning=setting)).get("reasoning") == expected


def test_efforts_that_the_upstream_lists_are_kept() -> None:
    efforts = {"efforts": ["low", "medium", "high", "xhigh"]}
    budget = request("hi", reasoning=ReasoningSetting(mode="budget", budget=40000))
    assert encoded(budget, **efforts)["reasoning"]["effort"] == "xhigh"


def test_disabled_thinking_is_sent_to_upstreams_that_support_it() -> None:
    disabled = request("hi", reasoning=ReasoningSetting(mode="disabled"))
    assert encoded(disabled, reasoning_off=True)["reasoning"] == {"effort": "none"}


def test_upstreams_without_reasoning_are_not_asked_for_it() -> None:
    body = encoded(request("hi", reasoning=ReasoningSetting(mode="effort", effort="low"), family="openai_chat"), reasoning_effort=False)
    assert "reasoning" not in body


# --- tools and structured output -------------------------------------------------------------------------------------


def test_tools() -> None:
    schema = raw({"type": "object", "properties": {"z": {}, "a": {}}})
    tools = (
        Tool(name="f", description="does f", schema=schema, cache=CacheMark(), family="anthropic", native={"input_examples": raw([])}),
        Tool(name="g", strict=True),
        Tool(name="p", kind="custom", format=raw({"type": "text"})),
        Tool(name="h", namespace="ns", namespace_description="space"),
        HostedTool(family=OWN, type="web_search", name="web_search", native=raw({"type": "web_search"})),
        Tool(name="i", namespace="ns", kind="custom"),
    )
    empty = {"type": "object", "properties": {}}
    assert encoded(request("hi", tools=tools))["tools"] == [
        {"type": "function", "name": "f", "description": "does f", "parameters": json.loads(bytes(schema)), "strict": False},
        {"type": "function", "name": "g", "parameters": empty, "strict": True},
        {"type": "custom", "name": "p", "format": {"type": "text"}},
        {
            "type": "namespace",
            "name": "ns",
            "description": "space",
            "tools": [{"type": "function", "name": "h", "parameters": empty, "strict": False}, {"type": "custom", "name": "i"}],
        },
        {"type": "web_search"},
    ]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        (ToolChoice(mode="auto"), "auto"),
        (ToolChoice(mode="required"), "required"),
        (ToolChoice(mode="none"), "none"),
        (ToolChoice(mode="tool", name="f"), {"type": "function", "name": "f"}),
        (ToolChoice(mode="tool", name="p"), {"type": "custom", "name": "p"}),
        (ToolChoice(mode="tool", name="h", namespace="ns"), {"type": "function", "name": "h", "namespace": "ns"}),
        (ToolChoice(mode="tool", name="web_search"), {"type": "web_search"}),
        (
            ToolChoice(mode="auto", subset=("f", "p", "web_search")),
            {
                "type": "allowed_tools",
                "mode": "auto",
                "tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "p"}, {"type": "web_search"}],
            },
        ),
    ],
)
def test_tool_choices(choice: ToolChoice, expected: Any) -> None:
    tools = (
        Tool(name="f"),
        Tool(name="p", kind="custom"),
        Tool(name="h", namespace="ns"),
        HostedTool(family=OWN, type="web_search", name="web_search", native=raw({"type": "web_search"})),
    )
    assert encoded(request("hi", tools=tools, tool_choice=choice))["tool_choice"] == expected


@pytest.mark.parametrize(
    ("family", "output", "expected"),
    [
        (
            "anthropic",
            OutputFormat(kind="json_schema", schema=raw({})),
            {"type": "json_schema", "name": "response", "schema": {}, "strict": False},
        ),
        ("openai_chat", OutputFormat(kind="json_schema", name="x", schema=raw({})), {"type": "json_schema", "name": "x", "schema": {}}),
        (
            "openai_chat",
            OutputFormat(kind="json_schema", name="x", schema=raw({}), strict=False, description="d"),
            {"type": "json_schema", "name": "x", "schema": {}, "strict": False, "description": "d"},
        ),
        ("openai_chat", OutputFormat(kind="json_object"), {"type": "json_object"}),
    ],
)
def test_structured_output(family: str, output: OutputFormat, expected: Any) -> None:
    assert encoded(request("hi", family=family, output=output))["text"] == {"format": expected}

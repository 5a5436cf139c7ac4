"""Thinking, output limit and sampling of encoded requests (docs/wire-formats.md, sections 7.8 and 7.9)."""

import json
from typing import Any

import pytest

from proxy.translation.canonical import Message, Reasoning, ReasoningSetting, Request, Seal, Text, Tool, ToolCall, ToolChoice, ToolResult
from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.dialects.anthropic.models import thinking_style
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.quirks import DEFAULT, Quirks

HI = Message("user", (Text("Hi"),))
SIGNED = Reasoning("Hm.", Seal("anthropic", None, {"signature": "sig"}))
CALL = ToolCall("t1", "f", "{}")
RESULT = Message("user", (ToolResult("t1", (Text("done"),)),))
MANUAL, ADAPTIVE = "claude-opus-4-5", "claude-opus-4-8"


def fields(*names: str, model: str = MANUAL, quirks: Quirks = DEFAULT, maximum: int | None = None, **settings: Any) -> dict[str, Any]:
    """Those of the named fields that an encoded request has."""
    request = Request(**{"model": "m", "messages": (HI,), "family": "openai_chat", "max_tokens": 50000, **settings})
    to = EncodeTarget(model=model, dialect="anthropic", quirks=quirks, max_output_tokens=maximum)
    body = json.loads(DIALECT.encode_request(request, to))
    return {name: body[name] for name in names if name in body}


def effort(word: str) -> ReasoningSetting:
    return ReasoningSetting(mode="effort", effort=word)


@pytest.mark.parametrize(
    ("model", "style"),
    [
        ("claude-opus-4-6", "adaptive"),
        ("claude-sonnet-4-6", "adaptive"),
        ("claude-sonnet-4.6", "adaptive"),
        ("claude-haiku-5-5", "adaptive"),
        ("claude-fable-5", "adaptive"),
        ("claude-mythos-preview", "adaptive"),
        ("us.anthropic.claude-opus-4-7-20260301-v1:0", "adaptive"),
        ("claude-haiku-4-5", "enabled"),
        ("claude-haiku-4-5-20251001", "enabled"),
        ("claude-sonnet-4-5-20250929", "enabled"),
        ("claude-opus-4-1-20250805", "enabled"),
        ("claude-opus-4-20250514", "enabled"),
        ("anthropic.claude-sonnet-4-20250514-v1:0", "enabled"),
        ("claude-3-7-sonnet-20250219", "enabled"),
        ("claude-3-5-haiku-20241022", "none"),
        ("claude-3-haiku-20240307", "none"),
        ("claude-2.1", "none"),
        ("claude-instant-1.2", "none"),
        ("deepseek-reasoner", "enabled"),
        ("glm-4.6", "enabled"),
    ],
)
def test_the_thinking_style_follows_from_the_name_of_the_model(model: str, style: str) -> None:
    assert thinking_style(model, DEFAULT) == style
    assert thinking_style(model, Quirks(thinking_style="adaptive")) == "adaptive"


@pytest.mark.parametrize(
    ("word", "budget"), [("minimal", 1024), ("low", 2048), ("medium", 8192), ("high", 16384), ("xhigh", 24576), ("max", 32768)]
)
def test_an_effort_becomes_a_budget_for_older_models(word: str, budget: int) -> None:
    assert fields("thinking", "output_config", reasoning=effort(word)) == {"thinking": {"type": "enabled", "budget_tokens": budget}}


@pytest.mark.parametrize(
    ("word", "expected"), [("minimal", "low"), ("low", "low"), ("medium", "medium"), ("high", "high"), ("xhigh", "xhigh"), ("max", "max")]
)
def test_an_effort_stays_an_effort_for_newer_models(word: str, expected: str) -> None:
    assert fields("thinking", "output_config", model=ADAPTIVE, reasoning=effort(word)) == {
        "thinking": {"type": "adaptive", "display": "summarized"},
        "output_config": {"effort": expected},
    }


def test_the_first_adaptive_models_get_high_instead_of_xhigh() -> None:
    assert fields("output_config", model="claude-opus-4-6", reasoning=effort("xhigh")) == {"output_config": {"effort": "high"}}


@pytest.mark.parametrize("model", [MANUAL, ADAPTIVE, "claude-3-haiku-20240307"])
def test_without_an_effort_no_field_is_sent(model: str) -> None:
    assert fields("thinking", "output_config", model=model, reasoning=effort("none")) == {}
    assert fields("thinking", "output_config", model=model) == {}


def test_models_that_cannot_think_get_no_thinking_field() -> None:
    assert fields("thinking", "output_config", model="claude-3-haiku-20240307", reasoning=effort("high")) == {}


@pytest.mark.parametrize(
    ("requested", "maximum", "limit", "budget"),
    [
        (1024, None, 1024, None),
        (10, None, 10, None),
        (1025, None, 1025, 1024),
        (4096, None, 4096, 3072),
        (20000, None, 20000, 16384),
        (None, None, 8192 + 16384, 16384),
        (None, 64000, 64000, 16384),
        (None, 8192, 8192, 7168),
        (None, 100, 1024, None),
    ],
)
def test_the_budget_is_reduced_below_the_limit_and_never_raises_it(
    requested: int | None, maximum: int | None, limit: int, budget: int | None
) -> None:
    thinking = {"thinking": {"type": "enabled", "budget_tokens": budget}} if budget else {}
    sent_fields = fields("max_tokens", "thinking", max_tokens=requested, maximum=maximum, reasoning=effort("high"))
    assert sent_fields == {"max_tokens": limit, **thinking}


class TestSettingsOfTheFamily:
    @pytest.mark.parametrize(
        ("setting", "expected"),
        [
            (
                ReasoningSetting(mode="budget", budget=2000, display="omitted"),
                {"thinking": {"type": "enabled", "budget_tokens": 2000, "display": "omitted"}},
            ),
            (
                ReasoningSetting(mode="adaptive", effort="max", display="summarized"),
                {"thinking": {"type": "adaptive", "display": "summarized"}, "output_config": {"effort": "max"}},
            ),
            (ReasoningSetting(mode="between_tools"), {"thinking": {"type": "between_tools"}}),
            (ReasoningSetting(mode="disabled"), {"thinking": {"type": "disabled"}}),
            (ReasoningSetting(mode="effort", effort="low"), {"output_config": {"effort": "low"}}),
        ],
    )
    def test_they_are_sent_unchanged(self, setting: ReasoningSetting, expected: dict[str, Any]) -> None:
        assert fields("thinking", "output_config", family="anthropic", reasoning=setting) == expected

    @pytest.mark.parametrize(
        ("style", "setting", "expected"),
        [
            (
                "adaptive",
                ReasoningSetting(mode="budget", budget=5000),
                {"thinking": {"type": "adaptive"}, "output_config": {"effort": "medium"}},
            ),
            (
                "adaptive",
                ReasoningSetting(mode="budget", budget=40000),
                {"thinking": {"type": "adaptive"}, "output_config": {"effort": "xhigh"}},
            ),
            ("enabled", ReasoningSetting(mode="adaptive", effort="low"), {"thinking": {"type": "enabled", "budget_tokens": 2048}}),
            ("enabled", ReasoningSetting(mode="adaptive"), {"thinking": {"type": "enabled", "budget_tokens": 16384}}),
            ("enabled", ReasoningSetting(mode="between_tools"), {}),
        ],
    )
    def test_they_follow_the_quirk_thinking_style(self, style: Any, setting: ReasoningSetting, expected: dict[str, Any]) -> None:
        sent_fields = fields("thinking", "output_config", family="anthropic", reasoning=setting, quirks=Quirks(thinking_style=style))
        assert sent_fields == expected


class TestFieldsThatExcludeOneAnother:
    @pytest.mark.parametrize("model", [MANUAL, ADAPTIVE])
    def test_with_thinking_no_sampling_field_is_sent(self, model: str) -> None:
        sent_fields = fields("temperature", "top_k", "top_p", model=model, reasoning=effort("low"), temperature=0.5, top_k=5)
        assert sent_fields == {}
        assert fields("top_p", model=model, reasoning=effort("low"), top_p=0.5) == {}
        assert fields("top_p", model=model, reasoning=effort("low"), top_p=0.97) == ({"top_p": 0.97} if model != ADAPTIVE else {})

    @pytest.mark.parametrize(
        ("choice", "thinks"),
        [
            (ToolChoice(mode="tool", name="f"), False),
            (ToolChoice(mode="required"), False),
            (ToolChoice(mode="auto"), True),
            (ToolChoice(mode="none"), True),
        ],
    )
    def test_a_forced_tool_choice_removes_manual_thinking(self, choice: ToolChoice, thinks: bool) -> None:
        for family, setting in (("openai_chat", effort("low")), ("anthropic", ReasoningSetting(mode="budget", budget=2000))):
            sent_fields = fields("thinking", "tool_choice", family=family, reasoning=setting, tools=(Tool(name="f"),), tool_choice=choice)
            assert ("thinking" in sent_fields, "tool_choice" in sent_fields) == (thinks, True)

    @pytest.mark.parametrize(
        ("messages", "thinks"),
        [
            ((HI, Message("assistant", (CALL,)), RESULT), False),
            ((HI, Message("assistant", (SIGNED, CALL)), RESULT), True),
            ((HI, Message("assistant", (Text("I look."), SIGNED, CALL)), RESULT), False),
            ((HI, Message("assistant", (CALL,)), RESULT, Message("assistant", (Text("ok"),)), HI), True),
            ((HI, Message("assistant", (Text("The"),))), False),
            ((HI, Message("assistant", (Text("ok"),)), HI), True),
        ],
    )
    def test_manual_thinking_requires_the_thinking_block_of_the_open_tool_loop(self, messages: tuple[Message, ...], thinks: bool) -> None:
        assert ("thinking" in fields("thinking", reasoning=effort("low"), messages=messages)) is thinks
        assert "thinking" in fields("thinking", model=ADAPTIVE, reasoning=effort("low"), messages=messages)

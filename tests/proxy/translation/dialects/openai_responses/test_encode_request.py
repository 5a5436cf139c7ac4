"""What a Responses upstream gets."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from proxy.translation.canonical import (
    Audio,
    CacheMark,
    Document,
    HostedTool,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Part,
    Reasoning,
    ReasoningSetting,
    Request,
    Seal,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.translation.errors import ClientMistake
from tests.proxy.translation.dialects.openai_responses.samples import encoded, request

OWN = "openai_responses"


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def inputs(*parts: Message | str, **quirks: Any) -> list[Any]:
    given: list[Any] = encoded(request(*parts), **quirks)["input"]
    return given


def user(*parts: Part) -> Message:
    return Message("user", parts)


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def text(words: str, kind: str = "input_text") -> dict[str, Any]:
    return {"type": kind, "text": words}


def output_text(words: str) -> dict[str, Any]:
    return {"type": "output_text", "text": words, "annotations": []}


# --- the body --------------------------------------------------------------------------------------------------------


def test_the_smallest_body() -> None:
    assert encoded(request("hi")) == {
        "model": "up",
        "input": [{"type": "message", "role": "user", "content": [text("hi")]}],
        "include": ["reasoning.encrypted_content"],
        "store": False,
    }


def test_settings_that_responses_knows() -> None:
    given = request(
        "hi", family="openai_chat", max_tokens=100, temperature=1.5, top_p=0.9, parallel_calls=False, end_user="u", metadata={"a": "b"},
        service_tier="flex", prompt_cache_key="k", verbosity="low", logprobs=True, top_logprobs=2, stop=("x",), top_k=5,
    )  # fmt: skip
    sent = encoded(given, stream=True)
    assert {name: value for name, value in sent.items() if name not in ("model", "input")} == {
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


def test_small_limits_are_raised_to_the_least_that_is_taken() -> None:
    assert encoded(request("hi", max_tokens=1))["max_output_tokens"] == 16


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(ClientMistake, match="max_tokens: must be at least 1"):
        encoded(request("hi", max_tokens=0))


@pytest.mark.parametrize(("tier", "sent"), [("standard_only", "default"), ("auto", "auto"), ("batch", None), (None, None)])
def test_service_tiers(tier: str | None, sent: str | None) -> None:
    assert encoded(request("hi", service_tier=tier)).get("service_tier") == sent


def test_long_user_ids_are_hashed() -> None:
    assert encoded(request("hi", end_user="u" * 128))["safety_identifier"] == "u" * 128
    assert len(encoded(request("hi", end_user="u" * 129))["safety_identifier"]) == 64
    assert "safety_identifier" not in encoded(request("hi", end_user="u"), user_field="none")


@pytest.mark.parametrize(("model", "asked"), [("gpt-5.5", True), ("o3", True), ("gpt-4o", False), ("openai/gpt-4.1-mini", False)])
def test_encrypted_reasoning_is_asked_of_models_that_reason(model: str, asked: bool) -> None:
    assert ("include" in encoded(request("hi"), model=model)) == asked


def test_encrypted_reasoning_is_asked_for_when_reasoning_is() -> None:
    setting = ReasoningSetting(mode="effort", effort="low")
    assert encoded(request("hi", reasoning=setting), model="gpt-4o")["include"] == ["reasoning.encrypted_content"]


# --- system text -----------------------------------------------------------------------------------------------------


def test_system_texts_become_instructions() -> None:
    assert encoded(request("hi", system=(Text("a"), Text(""), Text("b"))))["instructions"] == "a\n\nb"


def test_empty_system_text_is_left_out() -> None:
    assert "instructions" not in encoded(request("hi", system=(Text(""),)))


def test_system_text_alone_is_input_since_there_has_to_be_some() -> None:
    sent = encoded(Request(model="m", messages=(), system=(Text("a"), Text("b")), family="openai_chat"))
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    assert "instructions" not in sent
    assert sent["input"] == [{"type": "message", "role": "developer", "content": parts}]


def test_late_system_text_is_a_developer_item_in_its_place() -> None:
    items = inputs("one", Message("system", (Text("late"),)), "two")
    assert [item["role"] for item in items] == ["user", "developer", "user"]
    assert items[1] == {"type": "message", "role": "developer", "content": [text("late")]}


def test_late_system_text_is_hoisted_where_the_upstream_needs_it() -> None:
    sent = encoded(request("one", Message("system", (Text("late"),)), system=(Text("first"),)), late_system="hoist")
    assert (sent["instructions"], len(sent["input"])) == ("first\n\nlate", 1)


# --- turns -----------------------------------------------------------------------------------------------------------


def test_a_tool_turn() -> None:
    assert inputs(
        user(Text("go")),
        assistant(
            Text("a"),
            Text("b"),
            ToolCall("toolu_1", "f", '{"x": 1}'), ToolCall("c2", "patch", "***", kind="custom"), ToolCall("c3", "g", "")
        ),
        user(
            ToolResult("toolu_1", (Text("one"), Text("two"))),
            ToolResult("c2", (), kind="custom"),
            ToolResult("c3", (Text("bad"),), is_error=True),
            Text("?"),
        ),
    ) == [
        {"type": "message", "role": "user", "content": [text("go")]},
        {"type": "message", "role": "assistant", "content": [output_text("a"), output_text("b")]},
        {"type": "function_call", "call_id": "toolu_1", "name": "f", "arguments": '{"x": 1}'},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "***"},
        {"type": "function_call", "call_id": "c3", "name": "g", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "toolu_1", "output": "one\ntwo"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": ""},
        {"type": "function_call_output", "call_id": "c3", "output": "Error: bad"},
        {"type": "message", "role": "user", "content": [text("?")]},
    ]  # fmt: skip


def test_refusals_stay_refusals() -> None:
    assert inputs("hi", assistant(Text("no", refusal=True)))[1]["content"] == [{"type": "refusal", "refusal": "no"}]


def test_text_around_calls_keeps_its_order() -> None:
    kinds = [item["type"] for item in inputs("hi", assistant(Text("a"), ToolCall("c", "f", "{}"), Text("b")))]
    assert kinds == ["message", "message", "function_call", "message"]


def test_an_error_that_says_so_is_not_told_twice() -> None:
    items = inputs(assistant(ToolCall("c", "f", "{}")), user(ToolResult("c", (Text("error: no file"),), is_error=True)))
    assert items[1]["output"] == "error: no file"


def test_results_with_media_are_lists() -> None:
    image = Image(Source("base64", "AAAA", "image/png"))
    items = inputs(assistant(ToolCall("c", "f", "{}")), user(ToolResult("c", (Text("shot"), image), is_error=True)))
    assert items[1]["output"] == [
        text("Error:"),
        text("shot"),
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "auto"},
    ]


def test_media() -> None:
    (item,) = inputs(
        user(
            Image(Source("url", "https://example.com/a.png"), "low"),
            Document(Source("base64", "JVBE", "application/pdf"), title="Report"),
            Document(Source("base64", "JVBE", "application/pdf")),
            Document(Source("url", "https://example.com/a.pdf"), filename="a.pdf"),
            Document(Source("text", "words"), title="Notes", context="from today"),
            Audio("UklG", "wav"),
        )
    )
    assert item["content"] == [
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
        {"type": "input_file", "filename": "Report", "file_data": "data:application/pdf;base64,JVBE"},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        text("Notes\nfrom today\nwords"),
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
    ]


@pytest.mark.parametrize(
    "part",
    [
        Image(Source("file", "file-1"), at="messages.0.content.0"),
        Document(Source("file", "file-1"), at="messages.0.content.0"),
        Opaque("anthropic", "container_upload", raw({}), at="messages.0.content.0"),
    ],
)
def test_what_another_vendor_holds_is_refused(part: Part) -> None:
    with pytest.raises(ClientMistake) as caught:
        inputs(user(part))
    assert caught.value.failure.param == "messages.0.content.0"


def test_foreign_blocks_with_words_are_told_as_text() -> None:
    search = Opaque("anthropic", "search_result", raw({}), "Title\nwords")
    history = Opaque("anthropic", "web_search_tool_result", raw({}), "found it", history=True)
    silent = Opaque("anthropic", "server_tool_use", raw({}), history=True)
    items = inputs(user(search), assistant(silent, history))
    assert [item["content"] for item in items] == [[text("Title\nwords")], [output_text("found it")]]


def test_empty_texts_and_messages_are_left_out() -> None:
    assert inputs(user(Text("")), assistant(Text("")), user(Text("hi"))) == [{"type": "message", "role": "user", "content": [text("hi")]}]


def test_cache_breakpoints_where_the_upstream_takes_them() -> None:
    parts = tuple(Text(str(number), CacheMark()) for number in range(6))
    assert all("prompt_cache_breakpoint" not in part for part in inputs(user(*parts))[0]["content"])
    marked = inputs(user(*parts), cache_markers="openai_breakpoints")[0]["content"]
    assert ["prompt_cache_breakpoint" in part for part in marked] == [False, False, True, True, True, True]


# --- reasoning -------------------------------------------------------------------------------------------------------

SEALED = {"id": "rs_1", "encrypted_content": "gAAA"}


@pytest.mark.parametrize(
    ("seal", "kept"),
    [
        (Seal(OWN, "up-1", SEALED), True),
        (Seal(OWN, None, SEALED), True),
        (Seal(OWN, "", SEALED), True),
        (Seal(OWN, "up-2", SEALED), False),
        (Seal("anthropic", "anthropic", {"signature": "s"}), False),
        (Seal("openai_chat", "", {}), False),
        (None, False),
    ],
)
def test_reasoning_returns_only_to_the_upstream_that_wrote_it(seal: Seal | None, kept: bool) -> None:
    items = inputs("hi", assistant(Reasoning("hm", seal), ToolCall("c", "f", "{}")))
    expected = [{"type": "reasoning", **SEALED, "summary": [{"type": "summary_text", "text": "hm"}]}] if kept else []
    assert [item for item in items if item["type"] == "reasoning"] == expected


def test_words_that_were_withheld_from_the_client_go_back_too() -> None:
    items = inputs("hi", assistant(Reasoning("", Seal(OWN, "up-1", {**SEALED, "text": "hm"})), ToolCall("c", "f", "{}")))
    assert items[1] == {"type": "reasoning", **SEALED, "summary": [{"type": "summary_text", "text": "hm"}]}


def test_reasoning_that_led_to_nothing_is_left_out() -> None:
    kinds = [item["type"] for item in inputs("hi", assistant(Reasoning("", Seal(OWN, None, SEALED))), "again")]
    assert kinds == ["message", "message"]


@pytest.mark.parametrize(
    ("setting", "family", "sent"),
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
def test_how_much_to_think(setting: ReasoningSetting | None, family: str, sent: dict[str, str] | None) -> None:
    assert encoded(request("hi", family=family, reasoning=setting)).get("reasoning") == sent


def test_efforts_that_the_upstream_lists_are_kept() -> None:
    efforts = {"efforts": ["low", "medium", "high", "xhigh"]}
    budget = request("hi", reasoning=ReasoningSetting(mode="budget", budget=40000))
    assert encoded(budget, **efforts)["reasoning"]["effort"] == "xhigh"


def test_thinking_is_switched_off_where_that_has_a_word() -> None:
    disabled = request("hi", reasoning=ReasoningSetting(mode="disabled"))
    assert encoded(disabled, reasoning_off=True)["reasoning"] == {"effort": "none"}


def test_upstreams_without_reasoning_are_not_asked_for_it() -> None:
    sent = encoded(request("hi", reasoning=ReasoningSetting(mode="effort", effort="low"), family="openai_chat"), reasoning_effort=False)
    assert "reasoning" not in sent


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
    ("choice", "sent"),
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
def test_tool_choices(choice: ToolChoice, sent: Any) -> None:
    tools = (
        Tool(name="f"),
        Tool(name="p", kind="custom"),
        Tool(name="h", namespace="ns"),
        HostedTool(family=OWN, type="web_search", name="web_search", native=raw({"type": "web_search"})),
    )
    assert encoded(request("hi", tools=tools, tool_choice=choice))["tool_choice"] == sent


@pytest.mark.parametrize(
    ("family", "output", "sent"),
    [
        (
            "anthropic",
            OutputFormat(kind="json_schema", schema=raw({})),
            {"type": "json_schema", "name": "response", "schema": {}, "strict": True},
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
def test_structured_output(family: str, output: OutputFormat, sent: Any) -> None:
    assert encoded(request("hi", family=family, output=output))["text"] == {"format": sent}

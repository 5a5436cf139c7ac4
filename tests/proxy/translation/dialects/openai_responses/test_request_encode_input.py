"""Messages of a request for a Responses upstream."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.translation.canonical import (
    Audio,
    CacheMark,
    Document,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    Request,
    Seal,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from proxy.translation.errors import ClientMistake
from tests.proxy.translation.dialects.openai_responses.samples import encoded, request

OWN = "openai_responses"


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


def inputs(*parts: Message | str, **quirks: Any) -> list[Any]:
    items: list[Any] = encoded(request(*parts), **quirks)["input"]
    return items


def user(*parts: Part) -> Message:
    return Message("user", parts)


def assistant(*parts: Part) -> Message:
    return Message("assistant", parts)


def text(content: str, kind: str = "input_text") -> dict[str, Any]:
    return {"type": kind, "text": content}


def output_text(content: str) -> dict[str, Any]:
    return {"type": "output_text", "text": content, "annotations": []}


# --- system text -----------------------------------------------------------------------------------------------------


def test_system_texts_become_instructions() -> None:
    assert encoded(request("hi", system=(Text("a"), Text(""), Text("b"))))["instructions"] == "a\n\nb"


def test_empty_system_text_is_left_out() -> None:
    assert "instructions" not in encoded(request("hi", system=(Text(""),)))


def test_system_text_alone_is_input_since_there_has_to_be_some() -> None:
    body = encoded(Request(model="m", messages=(), system=(Text("a"), Text("b")), family="openai_chat"))
    parts = [{"type": "input_text", "text": "a"}, {"type": "input_text", "text": "b"}]
    assert "instructions" not in body
    assert body["input"] == [{"type": "message", "role": "developer", "content": parts}]


def test_late_system_text_is_a_developer_item_in_its_place() -> None:
    items = inputs("one", Message("system", (Text("late"),)), "two")
    assert [item["role"] for item in items] == ["user", "developer", "user"]
    assert items[1] == {"type": "message", "role": "developer", "content": [text("late")]}


def test_late_system_text_is_hoisted_where_the_upstream_needs_it() -> None:
    body = encoded(request("one", Message("system", (Text("late"),)), system=(Text("first"),)), late_system="hoist")
    assert (body["instructions"], len(body["input"])) == ("first\n\nlate", 1)


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


def test_the_error_prefix_is_not_repeated() -> None:
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
        )
    )
    assert item["content"] == [
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
        {"type": "input_file", "filename": "Report", "file_data": "data:application/pdf;base64,JVBE"},
        {"type": "input_file", "filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBE"},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        text("Notes\nfrom today\nwords"),
    ]


@pytest.mark.parametrize(
    "part",
    [
        Image(Source("file", "file-1"), at="messages.0.content.0"),
        Document(Source("file", "file-1"), at="messages.0.content.0"),
        Opaque("anthropic", "container_upload", raw({}), at="messages.0.content.0"),
        Audio("UklG", "wav", at="messages.0.content.0"),
    ],
)
def test_content_without_a_form_is_refused(part: Part) -> None:
    with pytest.raises(ClientMistake) as caught:
        inputs(user(part))
    assert caught.value.failure.param == "messages.0.content.0"


def test_opaque_parts_with_text_become_text() -> None:
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


SEALED = {"id": "rs_1", "encrypted_content": "gAAA"}


# --- reasoning -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seal", "is_sent"),
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
def test_reasoning_returns_only_to_the_upstream_that_wrote_it(seal: Seal | None, is_sent: bool) -> None:
    items = inputs("hi", assistant(Reasoning("hm", seal), ToolCall("c", "f", "{}")))
    expected = [{"type": "reasoning", **SEALED, "summary": [{"type": "summary_text", "text": "hm"}]}] if is_sent else []
    assert [item for item in items if item["type"] == "reasoning"] == expected


def test_a_withheld_reasoning_text_is_sent_back() -> None:
    items = inputs("hi", assistant(Reasoning("", Seal(OWN, "up-1", {**SEALED, "text": "hm"})), ToolCall("c", "f", "{}")))
    assert items[1] == {"type": "reasoning", **SEALED, "summary": [{"type": "summary_text", "text": "hm"}]}


def test_a_reasoning_item_without_a_follower_is_dropped() -> None:
    kinds = [item["type"] for item in inputs("hi", assistant(Reasoning("", Seal(OWN, None, SEALED))), "again")]
    assert kinds == ["message", "message"]


def test_a_cached_text_of_a_tool_result_keeps_its_breakpoint_where_the_upstream_takes_them() -> None:
    turn = (assistant(ToolCall("c", "f", "{}")), user(ToolResult("c", (Text("done", CacheMark()),))))
    marked = [{**text("done"), "prompt_cache_breakpoint": {"mode": "explicit"}}]
    assert [inputs(*turn, **quirks)[1]["output"] for quirks in ({}, {"cache_markers": "openai_breakpoints"})] == ["done", marked]

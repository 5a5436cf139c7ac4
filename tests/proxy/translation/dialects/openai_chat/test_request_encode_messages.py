"""Messages for a Chat upstream."""

from __future__ import annotations

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
    Seal,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from proxy.translation.errors import ClientMistake
from tests.proxy.translation.dialects.openai_chat.samples import PNG, PNG_URL, assistant, encoded_messages, user

# --- system text -----------------------------------------------------------------------------------------------------


def test_leading_system_texts_are_one_message() -> None:
    assert encoded_messages(user("Hi"), system=(Text("A"), Text(""), Text("B"))) == [
        {"role": "system", "content": "A\n\nB"},
        {"role": "user", "content": "Hi"},
    ]


def test_an_empty_system_text_is_no_message() -> None:
    assert encoded_messages(user("Hi"), system=(Text(""),)) == [{"role": "user", "content": "Hi"}]


def test_upstreams_that_know_developer_get_developer() -> None:
    messages = encoded_messages(user("Hi"), Message("system", (Text("B"),)), system=(Text("A"),), supports_developer=True)
    assert [message["role"] for message in messages] == ["developer", "user", "developer"]


def test_late_system_text_stays_in_its_place() -> None:
    messages = encoded_messages(user("Hi"), assistant("Yes"), Message("system", (Text("B"), Text("C"))), user("Go"), system=(Text("A"),))
    assert messages[3] == {"role": "system", "content": "B\n\nC"}
    assert [message["role"] for message in messages] == ["system", "user", "assistant", "system", "user"]


def test_late_system_text_is_hoisted_for_strict_templates() -> None:
    messages = encoded_messages(user("Hi"), Message("system", (Text("B"),)), user("Go"), system=(Text("A"),), late_system="hoist")
    assert messages == [{"role": "system", "content": "A\n\nB"}, {"role": "user", "content": "Hi"}, {"role": "user", "content": "Go"}]


def test_system_text_is_never_between_calls_and_results() -> None:
    messages = encoded_messages(
        user("Hi"), assistant(ToolCall("c1", "f", "{}")), Message("system", (Text("S"),)), user(ToolResult("c1", (Text("ok"),)))
    )
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "system"]


# --- users and results -----------------------------------------------------------------------------------------------


def test_results_are_one_tool_message_each_first_and_in_order() -> None:
    messages = encoded_messages(
        user("Hi"),
        assistant(ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}")),
        user(ToolResult("c1", (Text("one"), Text("two"))), ToolResult("c2"), "And now?"),
    )
    assert messages[2:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "one\ntwo"},
        {"role": "tool", "tool_call_id": "c2", "content": ""},
        {"role": "user", "content": "And now?"},
    ]


def test_media_of_results_follow_all_tool_messages() -> None:
    messages = encoded_messages(
        user("Hi"),
        assistant(ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}")),
        user(
            ToolResult("c1", (Image(PNG),)),
            ToolResult("c2", (Text("see"), Document(Source("base64", "JVBERi0=", "application/pdf")))),
            "Well?",
        ),
    )
    assert messages[2:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "[image attached below]"},
        {"role": "tool", "tool_call_id": "c2", "content": "see"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "[attached to the result of tool call c1]"},
                {"type": "image_url", "image_url": {"url": PNG_URL}},
                {"type": "text", "text": "[attached to the result of tool call c2]"},
                {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
                {"type": "text", "text": "Well?"},
            ],
        },
    ]


def test_an_empty_text_beside_an_image_becomes_the_placeholder() -> None:
    messages = encoded_messages(user("Hi"), assistant(ToolCall("c1", "f", "{}")), user(ToolResult("c1", (Text(""), Image(PNG)))))
    assert messages[2]["content"] == "[image attached below]"


def test_upstreams_that_take_images_in_results_get_them_there() -> None:
    messages = encoded_messages(
        user("Hi"), assistant(ToolCall("c1", "f", "{}")), user(ToolResult("c1", (Text("see"), Image(PNG)))), tool_image_parts=True
    )
    assert messages[2:] == [
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": PNG_URL}}],
        }
    ]


@pytest.mark.parametrize(
    ("text", "content"), [("no such file", "Error: no such file"), ("Error: no such file", "Error: no such file"), ("", "Error: ")]
)
def test_a_failed_result_begins_with_error_once(text: str, content: str) -> None:
    parts = (Text(text),) if text else ()
    messages = encoded_messages(user("Hi"), assistant(ToolCall("c1", "f", "{}")), user(ToolResult("c1", parts, is_error=True)))
    assert messages[2]["content"] == content


def test_a_failed_result_of_an_image_alone_has_error_before_the_placeholder() -> None:
    failed = ToolResult("c1", (Image(Source("base64", "AAAA", "image/png")),), is_error=True)
    messages = encoded_messages(user("Hi"), assistant(ToolCall("c1", "f", "{}")), user(failed))
    assert messages[2] == {"role": "tool", "tool_call_id": "c1", "content": "Error: [image attached below]"}


def test_search_results_and_texts_to_read_are_text() -> None:
    search_result = Opaque("anthropic", "search_result", msgspec.Raw(b"{}"), "Title\nhttps://e.com\nwords")
    messages = encoded_messages(user(search_result, Document(Source("text", "the words", "text/plain"), title="Notes"), "Sum up"))
    assert messages == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Title\nhttps://e.com\nwords"},
                {"type": "text", "text": "Notes\nthe words"},
                {"type": "text", "text": "Sum up"},
            ],
        }
    ]


def test_images_documents_and_audio() -> None:
    messages = encoded_messages(
        user(
            Image(Source("url", "https://e.com/a.png"), detail="low"),
            Document(Source("base64", "JVBERi0=", "application/pdf"), title="Report"),
            Document(Source("base64", "JVBERi0=", "application/pdf"), title="Report", filename="r.pdf"),
            Audio("UklG", "wav"),
        )
    )
    assert messages[0]["content"] == [
        {"type": "image_url", "image_url": {"url": "https://e.com/a.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "Report", "file_data": "data:application/pdf;base64,JVBERi0="}},
        {"type": "file", "file": {"filename": "r.pdf", "file_data": "data:application/pdf;base64,JVBERi0="}},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
    ]


@pytest.mark.parametrize(
    "part",
    [
        Image(Source("file", "file_1"), at="messages.0.content.0"),
        Document(Source("url", "https://e.com/a.pdf"), at="messages.0.content.0"),
        Document(Source("file", "file_1"), at="messages.0.content.0"),
        Opaque("anthropic", "container_upload", msgspec.Raw(b"{}"), at="messages.0.content.0"),
    ],
)
def test_unsupported_content_is_refused_with_its_path(part: Part) -> None:
    with pytest.raises(ClientMistake) as caught:
        encoded_messages(user(part))
    assert caught.value.failure.param == "messages.0.content.0"
    assert caught.value.failure.message.startswith("messages.0.content.0: ")


# --- assistants ------------------------------------------------------------------------------------------------------


def test_texts_and_calls_are_one_message_with_compact_arguments() -> None:
    messages = encoded_messages(
        user("Hi"), assistant("Let me", ToolCall("c1", "f", '{"a": 1, "z": [1, 2]}'), " see.", ToolCall("c2", "g", ""))
    )
    assert messages[1] == {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1,"z":[1,2]}'}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


def test_the_arguments_of_an_openai_client_stay_as_they_were_written() -> None:
    messages = encoded_messages(user("Hi"), assistant(ToolCall("c1", "f", '{"a": 1}')), family="openai_responses")
    assert messages[1]["tool_calls"][0]["function"]["arguments"] == '{"a": 1}'


def test_absent_content_is_null_or_empty_by_quirk() -> None:
    call = assistant(ToolCall("c1", "f", "{}"))
    assert encoded_messages(user("Hi"), call)[1]["content"] is None
    assert encoded_messages(user("Hi"), call, empty_assistant_content="empty")[1]["content"] == ""


def test_an_empty_assistant_message_is_dropped_and_its_neighbours_are_joined() -> None:
    messages = encoded_messages(user("a"), assistant(Reasoning("hm", Seal("anthropic", "anthropic", {"signature": "s"}))), user("b"))
    assert messages == [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]


def test_neighbouring_user_messages_stay_apart() -> None:
    assert encoded_messages(user("a"), user("b")) == [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]


def test_messages_of_one_turn_with_calls_are_merged() -> None:
    messages = encoded_messages(
        user("Hi"),
        assistant("Text. "),
        assistant(ToolCall("c1", "f", "{}")),
        assistant(ToolCall("c2", "g", "{}")),
        family="openai_responses",
    )
    assert (messages[1]["content"], [call["id"] for call in messages[1]["tool_calls"]]) == ("Text. ", ["c1", "c2"])
    assert [message["role"] for message in messages] == ["user", "assistant", "tool", "tool"]


def test_plain_assistant_messages_stay_apart() -> None:
    assert [message["content"] for message in encoded_messages(user("Hi"), assistant("A"), assistant("B"), user("C"))] == [
        "Hi",
        "A",
        "B",
        "C",
    ]


@pytest.mark.parametrize(
    ("seal", "expected"),
    [
        (Seal("openai_chat", ""), "hm"),
        (Seal("openai_chat", None), "hm"),
        (Seal("anthropic", "anthropic", {"signature": "s"}), None),
        (Seal("openai_responses", "up-1", {"id": "rs"}), None),
        (None, None),
    ],
)
def test_only_reasoning_of_chat_upstreams_is_sent_back(seal: Seal | None, expected: str | None) -> None:
    messages = encoded_messages(user("Hi"), assistant(Reasoning("hm", seal), "So."))
    assert messages[1].get("reasoning_content") == expected
    assert messages[1]["content"] == "So."


def test_upstreams_that_require_reasoning_get_it_on_every_turn_with_calls() -> None:
    messages = encoded_messages(
        user("Hi"), assistant(ToolCall("c1", "f", "{}")), user(ToolResult("c1")), assistant("Done"), requires_reasoning_content=True
    )
    assert messages[1]["reasoning_content"] == ""
    assert "reasoning_content" not in messages[3]


def test_server_tool_blocks_in_the_history_are_their_text_or_nothing() -> None:
    no_text = Opaque("anthropic", "server_tool_use", msgspec.Raw(b"{}"), history=True)
    messages = encoded_messages(
        user("Hi"), assistant(no_text, Opaque("anthropic", "web_search_tool_result", msgspec.Raw(b"{}"), "found", history=True)), user("x")
    )
    assert messages[1] == {"role": "assistant", "content": "found"}


def test_a_prefill_goes_last_or_is_refused() -> None:
    assert encoded_messages(user("Hi"), assistant("Sure, "))[-1] == {"role": "assistant", "content": "Sure, "}
    with pytest.raises(ClientMistake) as caught:
        encoded_messages(user("Hi"), assistant("Sure, "), no_prefill=True)
    assert caught.value.failure.param == "messages"


def test_parts_of_a_chat_client_are_sent_unchanged() -> None:
    native = msgspec.Raw(b'{"type":"hologram","data":"AA"}')
    messages = encoded_messages(user("See", Opaque("openai_chat", "hologram", native, at="x")), family="openai_chat")
    assert messages[0]["content"] == [{"type": "text", "text": "See"}, {"type": "hologram", "data": "AA"}]


# --- cache markers ---------------------------------------------------------------------------------------------------


def test_cache_markers_are_dropped_by_default() -> None:
    assert encoded_messages(user(Text("a", CacheMark())), system=(Text("S", CacheMark()),)) == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "a"},
    ]


def test_cache_markers_pass_to_upstreams_that_read_them() -> None:
    messages = encoded_messages(user(Text("a", CacheMark()), Text("b")), system=(Text("S", CacheMark()),), cache_markers="passthrough")
    assert messages == [
        {"role": "system", "content": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}]},
    ]


def test_cache_markers_become_the_last_four_breakpoints() -> None:
    marked = [user(Text(str(number), CacheMark())) for number in range(4)]
    messages = encoded_messages(*marked, system=(Text("S", CacheMark()),), cache_markers="openai_breakpoints")
    assert messages[0] == {"role": "system", "content": [{"type": "text", "text": "S"}]}
    assert [message["content"][0].get("prompt_cache_breakpoint") for message in messages[1:]] == [{"mode": "explicit"}] * 4


@pytest.mark.parametrize(("family", "named"), [("openai_chat", {"name": "ann"}), ("anthropic", {})])
def test_an_assistant_keeps_its_name_for_upstreams_of_the_client_s_dialect(family: str, named: dict[str, str]) -> None:
    sent = encoded_messages(user("Hi"), Message("assistant", (Text("Yes"),), "ann"), user("Go on"), family=family)
    assert sent[1] == {"role": "assistant", "content": "Yes", **named}


@pytest.mark.parametrize(
    "part", [Image(Source("url", "https://e.test/i.png"), at="messages.1.content.0"), Audio("AA", "wav", "messages.1.content.0")]
)
def test_media_of_an_assistant_are_refused(part: Part) -> None:
    with pytest.raises(ClientMistake) as caught:
        encoded_messages(user("Hi"), assistant(part), user("Go on"))
    assert caught.value.failure.param == "messages.1.content.0"

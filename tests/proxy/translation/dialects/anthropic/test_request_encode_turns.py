"""Messages for Anthropic upstreams: canonical messages as turns and content blocks."""

import base64
import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.translation.canonical import (
    Audio,
    Citation,
    Document,
    Image,
    Message,
    Opaque,
    Reasoning,
    Seal,
    Source,
    Text,
    ToolCall,
    ToolResult,
)
from proxy.translation.quirks import Quirks
from tests.proxy.translation.dialects.anthropic.samples import (
    CALL,
    HI,
    MARK,
    RESULT,
    canonical_request,
    encode_messages,
    encode_target,
    encoded,
    refusal,
)


class TestTurns:
    def test_consecutive_messages_of_one_role_become_one_turn(self) -> None:
        assert encode_messages(
            HI, Message("user", (Text("there"),)), Message("assistant", (Text("a"),)), Message("assistant", (Text("b"),))
        ) == [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ]

    def test_tool_results_come_first_in_their_turn(self) -> None:
        late = Message("user", (Text("And?"), ToolResult("t1", (Text("done"),)), Text("Well?")))
        assert encode_messages(HI, CALL, late)[2]["content"] == [
            {"type": "tool_result", "tool_use_id": "t1", "content": "done"},
            {"type": "text", "text": "And?"},
            {"type": "text", "text": "Well?"},
        ]

    def test_empty_text_is_left_out(self) -> None:
        assert encode_messages(Message("user", (Text(""), Text(" \n"), Text("Hi"))), Message("assistant", (Text("\t"),)), HI) == [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Hi"}]}
        ]

    def test_a_conversation_without_content_is_refused(self) -> None:
        assert refusal(canonical_request(Message("user", (Text(" "),)))) == (
            "messages",
            "messages: at least one message with content is required",
        )

    def test_white_space_at_the_end_of_a_prefill_is_removed(self) -> None:
        assert encode_messages(HI, Message("assistant", (Text("a \n"), Text("The answer is \n"))))[1]["content"] == [
            {"type": "text", "text": "a \n"},
            {"type": "text", "text": "The answer is"},
        ]
        assert encode_messages(HI, Message("assistant", (Text("one \n"),)), HI)[1]["content"] == "one \n"

    def test_a_prefill_is_refused_if_the_model_does_not_support_it(self) -> None:
        to = encode_target(quirks=Quirks(no_prefill=True))
        assert refusal(canonical_request(HI, Message("assistant", (Text("The"),))), to)[0] == "messages"

    def test_a_refusal_in_the_history_becomes_text(self) -> None:
        assert encode_messages(HI, Message("assistant", (Text("No.", refusal=True),)), HI)[1]["content"] == "No."

    def test_citations_are_sent_only_within_the_family(self) -> None:
        cited = Message("assistant", (Text("Found", citations=(Citation(dialect="anthropic", native=Raw(b'{"type":"char_location"}')),)),))
        assert encode_messages(HI, cited, HI, family="anthropic")[1]["content"] == [
            {"type": "text", "text": "Found", "citations": [{"type": "char_location"}]}
        ]
        assert encode_messages(HI, cited, HI)[1]["content"] == "Found"


class TestLateSystemText:
    LATE = (
        HI,
        Message("system", (Text("Now in French."),)),
        Message("assistant", (Text("Oui"),)),
        Message("system", (Text("Be brief."),)),
        HI,
    )

    def test_it_is_moved_to_the_system_field_by_default(self) -> None:
        body = encoded(canonical_request(*self.LATE, system=(Text("Lead"),)))
        assert [block["text"] for block in body["system"]] == ["Lead", "Now in French.", "Be brief."]
        assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]

    @pytest.mark.parametrize(("family", "quirks"), [("anthropic", Quirks()), ("openai_chat", Quirks(late_system_native=True))])
    def test_it_stays_after_a_user_turn_if_the_model_accepts_that(self, family: str, quirks: Quirks) -> None:
        body = encoded(canonical_request(*self.LATE, family=family), encode_target(quirks=quirks))
        assert [(turn["role"], turn["content"]) for turn in body["messages"]] == [
            ("user", "Hi"),
            ("system", "Now in French."),
            ("assistant", "Oui"),
            ("user", "Hi"),
            ("system", "Be brief."),
        ]

    def test_without_a_user_turn_before_it_it_is_moved_to_the_system_field(self) -> None:
        messages = (HI, Message("assistant", (Text("Oui"),)), Message("system", (Text("Late."),)))
        body = encoded(canonical_request(*messages, family="anthropic"))
        assert (body["system"], [turn["role"] for turn in body["messages"]]) == ("Late.", ["user", "assistant"])


class TestToolResults:
    @pytest.mark.parametrize(
        ("content", "expected"),
        [
            ((), {}),
            ((Text(""),), {}),
            ((Text("a"),), {"content": "a"}),
            ((Text("a"), Text("b")), {"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
            (
                (Image(Source("base64", "aGk=", "image/png")),),
                {"content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}]},
            ),
        ],
    )
    def test_content(self, content: tuple[Any, ...], expected: dict[str, Any]) -> None:
        assert encode_messages(HI, CALL, Message("user", (ToolResult("t1", content),)))[2]["content"] == [
            {"type": "tool_result", "tool_use_id": "t1", **expected}
        ]

    def test_an_error_has_the_flag_is_error(self) -> None:
        assert encode_messages(HI, CALL, Message("user", (ToolResult("t1", (Text("no"),), is_error=True),)))[2]["content"] == [
            {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True}
        ]

    def test_a_tool_reference_of_the_family_is_restored(self) -> None:
        reference = Opaque("anthropic", "tool_reference", Raw(b'{"type":"tool_reference","tool_name":"x"}'), "x", True)
        result = Message("user", (ToolResult("t1", (reference,)),))
        assert encode_messages(HI, CALL, result, family="anthropic")[2]["content"][0]["content"] == [
            {"type": "tool_reference", "tool_name": "x"}
        ]

    @pytest.mark.parametrize(
        ("arguments", "expected"),
        [
            ("", {}),
            ("null", {}),
            (" ", {}),
            ('{"a": 1}', {"a": 1}),
            ("[1]", {"_raw_arguments": "[1]"}),
            ('{"a":', {"_raw_arguments": '{"a":'}),
            ("words", {"_raw_arguments": "words"}),
            ('{"a":"\\ud83d!"}', {"a": "\ufffd!"}),
        ],
    )
    def test_arguments_become_an_object(self, arguments: str, expected: dict[str, Any]) -> None:
        call = Message("assistant", (ToolCall("t1", "f", arguments),))
        assert encode_messages(HI, call, RESULT)[1]["content"] == [{"type": "tool_use", "id": "t1", "name": "f", "input": expected}]


class TestMedia:
    @pytest.mark.parametrize(
        ("source", "expected"),
        [
            (Source("base64", "aGk=", "image/jpg"), {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}),
            (Source("base64", "aGk=", "IMAGE/PNG"), {"type": "base64", "media_type": "image/png", "data": "aGk="}),
            (Source("url", "https://example.com/a.png"), {"type": "url", "url": "https://example.com/a.png"}),
        ],
    )
    def test_images(self, source: Source, expected: dict[str, str]) -> None:
        assert encode_messages(Message("user", (Image(source, "high"),)))[0]["content"] == [{"type": "image", "source": expected}]

    def test_a_file_id_of_another_vendor_is_refused(self) -> None:
        image = Message("user", (Image(Source("file", "file_1"), at="messages.0.content.0"),))
        document = Message("user", (Document(Source("file", "file_1"), at="messages.0.content.0"),))
        assert encode_messages(image, family="anthropic")[0]["content"] == [
            {"type": "image", "source": {"type": "file", "file_id": "file_1"}}
        ]
        assert encode_messages(document, family="anthropic")[0]["content"] == [
            {"type": "document", "source": {"type": "file", "file_id": "file_1"}}
        ]
        assert refusal(canonical_request(image))[0] == refusal(canonical_request(document))[0] == "messages.0.content.0"

    @pytest.mark.parametrize(
        "part",
        [
            Image(Source("base64", "aGk=", "image/tiff"), at="messages.0.content.0"),
            Document(Source("base64", "aGk=", "application/zip"), at="messages.0.content.0"),
            Document(Source("base64", "%%", "text/plain"), at="messages.0.content.0"),
            Document(Source("base64", "/w==", "text/plain"), at="messages.0.content.0"),
            Audio("aGk=", "wav", at="messages.0.content.0"),
            Opaque("openai_responses", "computer_screenshot", Raw(b"{}"), at="messages.0.content.0"),
        ],
    )
    def test_media_that_the_dialect_cannot_express_are_refused_with_their_path(self, part: Any) -> None:
        param, message = refusal(canonical_request(Message("user", (part,))))
        assert param == "messages.0.content.0"
        assert message.startswith("messages.0.content.0: ")

    @pytest.mark.parametrize(
        ("part", "expected"),
        [
            (
                Document(Source("base64", "aGk=", "application/pdf"), filename="a.pdf"),
                {"source": {"type": "base64", "media_type": "application/pdf", "data": "aGk="}, "title": "a.pdf"},
            ),
            (Document(Source("url", "https://example.com/a.pdf")), {"source": {"type": "url", "url": "https://example.com/a.pdf"}}),
            (
                Document(Source("text", "Words", "text/plain"), title="T", context="C"),
                {"source": {"type": "text", "media_type": "text/plain", "data": "Words"}, "title": "T", "context": "C"},
            ),
            (
                Document(Source("base64", base64.b64encode("Wörter".encode()).decode(), "text/markdown"), filename="a.md"),
                {"source": {"type": "text", "media_type": "text/plain", "data": "Wörter"}, "title": "a.md"},
            ),
        ],
    )
    def test_documents(self, part: Document, expected: dict[str, Any]) -> None:
        assert encode_messages(Message("user", (part,)))[0]["content"] == [{"type": "document", **expected}]

    def test_a_native_document_is_restored_whole(self) -> None:
        native = Raw(b'{"type":"document","source":{"type":"content","content":"x"},"citations":{"enabled":true}}')
        part = Document(Source("text", "x"), cache=MARK, dialect="anthropic", native=native)
        assert encode_messages(Message("user", (part,)), family="anthropic")[0]["content"] == [
            {
                "type": "document",
                "source": {"type": "content", "content": "x"},
                "citations": {"enabled": True},
                "cache_control": json.loads(bytes(MARK.native)),
            }
        ]

    def test_blocks_of_other_families_become_text(self) -> None:
        with_text = Opaque("openai_responses", "web_search_call", Raw(b"{}"), "the words", True)
        silent = Opaque("openai_responses", "web_search_call", Raw(b"{}"), "", True)
        assert encode_messages(HI, Message("assistant", (silent, with_text)), HI)[1]["content"] == "the words"


class TestReasoningInTheHistory:
    SIGNED = Reasoning("Hm.", Seal("anthropic", "anthropic", {"signature": "sig"}))
    NATIVE = Reasoning("Hm.", Seal("anthropic", None, {"signature": "sig"}))
    REDACTED = Reasoning("", Seal("anthropic", None, {"redacted": "xyz"}))
    UNSIGNED = Reasoning("Hm.", Seal("anthropic", None, {"signature": ""}))

    @pytest.mark.parametrize(
        ("part", "expected"),
        [
            (SIGNED, {"type": "thinking", "thinking": "Hm.", "signature": "sig"}),
            (NATIVE, {"type": "thinking", "thinking": "Hm.", "signature": "sig"}),
            (REDACTED, {"type": "redacted_thinking", "data": "xyz"}),
        ],
    )
    def test_reasoning_of_the_family_is_sent_unchanged(self, part: Reasoning, expected: dict[str, str]) -> None:
        assert encode_messages(HI, Message("assistant", (part, Text("a"))), HI)[1]["content"] == [expected, {"type": "text", "text": "a"}]

    @pytest.mark.parametrize(
        "part",
        [Reasoning("x", Seal("openai_chat", "")), Reasoning("x", Seal("openai_responses", "u", {"id": "rs"})), Reasoning("x"), UNSIGNED],
    )
    def test_other_reasoning_is_dropped(self, part: Reasoning) -> None:
        assert encode_messages(HI, Message("assistant", (part, Text("a"))), HI)[1]["content"] == "a"

    def test_unsigned_thinking_is_sent_if_the_quirk_allows_it(self) -> None:
        messages = encode_messages(HI, Message("assistant", (self.UNSIGNED, Text("a"))), HI, quirks=Quirks(unsigned_thinking=True))
        assert messages[1]["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": ""}

"""Requests for Anthropic upstreams: what the canonical form becomes on the wire (reading is shown in tests/cases/anthropic)."""

import base64
import hashlib
import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.translation.canonical import (
    Audio,
    CacheMark,
    Citation,
    Document,
    HostedTool,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Request,
    Seal,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks
from proxy.translation.reasoning_seal import pack

KEY = b"a secret"
HI = Message("user", (Text("Hi"),))
MARK = CacheMark(Raw(b'{"type":"ephemeral","ttl":"1h"}'))
CALL = Message("assistant", (ToolCall("t1", "f", '{"a":1}'),))
RESULT = Message("user", (ToolResult("t1", (Text("done"),)),))


def destination(model: str = "claude-opus-4-5", **settings: Any) -> EncodeTarget:
    return EncodeTarget(model=model, dialect="anthropic", **settings)


def request(*messages: Message, family: str = "openai_chat", **settings: Any) -> Request:
    return Request(model="m", messages=messages or (HI,), family=family, **settings)


def encoded(asked: Request, to: EncodeTarget | None = None) -> dict[str, Any]:
    return json.loads(DIALECT.encode_request(asked, to or destination()))


def turns(*messages: Message, quirks: Quirks | None = None, family: str = "openai_chat") -> list[Any]:
    return encoded(request(*messages, family=family), destination(quirks=quirks or Quirks()))["messages"]


def refusal(asked: Request, to: EncodeTarget | None = None) -> tuple[str | None, str]:
    with pytest.raises(ClientMistake) as caught:
        DIALECT.encode_request(asked, to or destination())
    return caught.value.failure.param, caught.value.failure.message


class TestTheBody:
    def test_the_least_request(self) -> None:
        assert encoded(request()) == {"model": "claude-opus-4-5", "max_tokens": 8192, "messages": [{"role": "user", "content": "Hi"}]}

    def test_everything_has_its_field(self) -> None:
        asked = request(
            system=(Text("One"), Text("Two")),
            max_tokens=50,
            stop=("END", " \n", ""),
            temperature=0.5,
            top_k=3,
            end_user="someone",
            service_tier="default",
            output=OutputFormat(kind="json_schema", name="n", schema=Raw(b'{"z":1,"a":2}'), strict=True),
        )
        assert encoded(asked, destination(stream=True)) == {
            "model": "claude-opus-4-5",
            "max_tokens": 50,
            "system": [{"type": "text", "text": "One"}, {"type": "text", "text": "Two"}],
            "messages": [{"role": "user", "content": "Hi"}],
            "stop_sequences": ["END"],
            "temperature": 0.5,
            "top_k": 3,
            "metadata": {"user_id": "someone"},
            "service_tier": "standard_only",
            "output_config": {"format": {"type": "json_schema", "schema": {"z": 1, "a": 2}}},
            "stream": True,
        }

    def test_what_others_alone_know_is_left_out(self) -> None:
        asked = request(
            metadata={"a": "b"}, verbosity="low", prompt_cache_key="k", service_tier="flex", extra={"seed": Raw(b"1")}, parallel_calls=True
        )
        assert set(encoded(asked)) == {"model", "max_tokens", "messages"}

    def test_a_foreign_extra_of_the_same_name_is_left_out(self) -> None:
        asked = request(family="openai_responses", extra={"context_management": Raw(b"[]")})
        assert "context_management" not in encoded(asked)

    def test_the_familys_own_settings_come_back(self) -> None:
        extra = {"context_management": Raw(b'{"edits":[]}'), "service_tier": Raw(b'"auto"'), "anthropic_beta": Raw(b'["x"]')}
        body = encoded(request(family="anthropic", extra=extra))
        assert (body["context_management"], body["service_tier"], "anthropic_beta" in body) == ({"edits": []}, "auto", False)

    @pytest.mark.parametrize(
        ("asked", "maximum", "sent"),
        [(None, None, 8192), (None, 64000, 64000), (None, 100, 1024), (7, 64000, 7), (0, None, 0), (99999, 4096, 99999)],
    )
    def test_the_output_limit(self, asked: int | None, maximum: int | None, sent: int) -> None:
        body = encoded(request(max_tokens=asked), destination(max_output_tokens=maximum))
        assert body["max_tokens"] == sent

    @pytest.mark.parametrize(
        ("temperature", "top_p", "sent"),
        [(1.7, None, {"temperature": 1.0}), (0.2, 0.9, {"temperature": 0.2}), (None, 0.9, {"top_p": 0.9}), (None, None, {})],
    )
    def test_sampling(self, temperature: float | None, top_p: float | None, sent: dict[str, float]) -> None:
        body = encoded(request(temperature=temperature, top_p=top_p))
        assert {name: body[name] for name in ("temperature", "top_p") if name in body} == sent

    def test_a_long_user_is_hashed(self) -> None:
        assert encoded(request(end_user="u" * 256))["metadata"] == {"user_id": "u" * 256}
        assert encoded(request(end_user="u" * 257))["metadata"] == {"user_id": hashlib.sha256(b"u" * 257).hexdigest()}

    def test_a_json_object_is_asked_for_in_words(self) -> None:
        body = encoded(request(system=(Text("Be brief."),), output=OutputFormat(kind="json_object")))
        assert [block["text"] for block in body["system"]] == ["Be brief.", "Respond with a single JSON object."]
        assert "output_config" not in body

    def test_a_schema_that_is_missing_is_any_object(self) -> None:
        body = encoded(request(output=OutputFormat(kind="json_schema")))
        assert body["output_config"] == {"format": {"type": "json_schema", "schema": {"type": "object"}}}


class TestTurns:
    def test_messages_of_one_role_become_one_turn(self) -> None:
        assert turns(HI, Message("user", (Text("there"),)), Message("assistant", (Text("a"),)), Message("assistant", (Text("b"),))) == [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "there"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
        ]

    def test_results_stand_first_in_their_turn(self) -> None:
        late = Message("user", (Text("And?"), ToolResult("t1", (Text("done"),)), Text("Well?")))
        assert turns(HI, CALL, late)[2]["content"] == [
            {"type": "tool_result", "tool_use_id": "t1", "content": "done"},
            {"type": "text", "text": "And?"},
            {"type": "text", "text": "Well?"},
        ]

    def test_empty_text_is_left_out(self) -> None:
        assert turns(Message("user", (Text(""), Text(" \n"), Text("Hi"))), Message("assistant", (Text("\t"),)), HI) == [
            {"role": "user", "content": [{"type": "text", "text": "Hi"}, {"type": "text", "text": "Hi"}]}
        ]

    def test_a_conversation_without_words_is_refused(self) -> None:
        assert refusal(request(Message("user", (Text(" "),)))) == ("messages", "messages: at least one message with content is required")

    def test_the_end_of_a_prefill_loses_its_white_space(self) -> None:
        assert turns(HI, Message("assistant", (Text("a \n"), Text("The answer is \n"))))[1]["content"] == [
            {"type": "text", "text": "a \n"},
            {"type": "text", "text": "The answer is"},
        ]
        assert turns(HI, Message("assistant", (Text("one \n"),)), HI)[1]["content"] == "one \n"

    def test_a_prefill_is_refused_where_the_model_takes_none(self) -> None:
        to = destination(quirks=Quirks(no_prefill=True))
        assert refusal(request(HI, Message("assistant", (Text("The"),))), to)[0] == "messages"

    def test_a_refusal_of_the_past_is_text(self) -> None:
        assert turns(HI, Message("assistant", (Text("No.", refusal=True),)), HI)[1]["content"] == "No."

    def test_citations_stay_inside_the_family(self) -> None:
        cited = Message("assistant", (Text("Found", citations=(Citation(dialect="anthropic", native=Raw(b'{"type":"char_location"}')),)),))
        assert turns(HI, cited, HI, family="anthropic")[1]["content"] == [
            {"type": "text", "text": "Found", "citations": [{"type": "char_location"}]}
        ]
        assert turns(HI, cited, HI)[1]["content"] == "Found"


class TestLateSystemText:
    LATE = (
        HI,
        Message("system", (Text("Now in French."),)),
        Message("assistant", (Text("Oui"),)),
        Message("system", (Text("Be brief."),)),
        HI,
    )

    def test_it_joins_the_leading_text_by_default(self) -> None:
        body = encoded(request(*self.LATE, system=(Text("Lead"),)))
        assert [block["text"] for block in body["system"]] == ["Lead", "Now in French.", "Be brief."]
        assert [turn["role"] for turn in body["messages"]] == ["user", "assistant", "user"]

    @pytest.mark.parametrize(("family", "quirks"), [("anthropic", Quirks()), ("openai_chat", Quirks(late_system_native=True))])
    def test_it_stays_where_the_model_takes_it_but_only_behind_a_user_turn(self, family: str, quirks: Quirks) -> None:
        body = encoded(request(*self.LATE, family=family), destination(quirks=quirks))
        assert [(turn["role"], turn["content"]) for turn in body["messages"]] == [
            ("user", "Hi"),
            ("system", "Now in French."),
            ("assistant", "Oui"),
            ("user", "Hi"),
            ("system", "Be brief."),
        ]

    def test_without_a_user_turn_behind_it_it_leads(self) -> None:
        ended = (HI, Message("assistant", (Text("Oui"),)), Message("system", (Text("Late."),)))
        body = encoded(request(*ended, family="anthropic"))
        assert (body["system"], [turn["role"] for turn in body["messages"]]) == ("Late.", ["user", "assistant"])


class TestToolResults:
    @pytest.mark.parametrize(
        ("content", "sent"),
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
    def test_content(self, content: tuple[Any, ...], sent: dict[str, Any]) -> None:
        assert turns(HI, CALL, Message("user", (ToolResult("t1", content),)))[2]["content"] == [
            {"type": "tool_result", "tool_use_id": "t1", **sent}
        ]

    def test_an_error_says_so(self) -> None:
        assert turns(HI, CALL, Message("user", (ToolResult("t1", (Text("no"),), is_error=True),)))[2]["content"] == [
            {"type": "tool_result", "tool_use_id": "t1", "content": "no", "is_error": True}
        ]

    def test_a_tool_reference_goes_back_to_the_family(self) -> None:
        reference = Opaque("anthropic", "tool_reference", Raw(b'{"type":"tool_reference","tool_name":"x"}'), "x", True)
        result = Message("user", (ToolResult("t1", (reference,)),))
        assert turns(HI, CALL, result, family="anthropic")[2]["content"][0]["content"] == [{"type": "tool_reference", "tool_name": "x"}]

    @pytest.mark.parametrize(
        ("arguments", "sent"),
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
    def test_arguments_become_an_object(self, arguments: str, sent: dict[str, Any]) -> None:
        call = Message("assistant", (ToolCall("t1", "f", arguments),))
        assert turns(HI, call, RESULT)[1]["content"] == [{"type": "tool_use", "id": "t1", "name": "f", "input": sent}]


class TestMedia:
    @pytest.mark.parametrize(
        ("source", "sent"),
        [
            (Source("base64", "aGk=", "image/jpg"), {"type": "base64", "media_type": "image/jpeg", "data": "aGk="}),
            (Source("base64", "aGk=", "IMAGE/PNG"), {"type": "base64", "media_type": "image/png", "data": "aGk="}),
            (Source("url", "https://example.com/a.png"), {"type": "url", "url": "https://example.com/a.png"}),
        ],
    )
    def test_images(self, source: Source, sent: dict[str, str]) -> None:
        assert turns(Message("user", (Image(source, "high"),)))[0]["content"] == [{"type": "image", "source": sent}]

    def test_a_file_id_belongs_to_its_vendor(self) -> None:
        image = Message("user", (Image(Source("file", "file_1"), at="messages.0.content.0"),))
        document = Message("user", (Document(Source("file", "file_1"), at="messages.0.content.0"),))
        assert turns(image, family="anthropic")[0]["content"] == [{"type": "image", "source": {"type": "file", "file_id": "file_1"}}]
        assert turns(document, family="anthropic")[0]["content"] == [{"type": "document", "source": {"type": "file", "file_id": "file_1"}}]
        assert refusal(request(image))[0] == refusal(request(document))[0] == "messages.0.content.0"

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
    def test_what_cannot_be_carried_is_named(self, part: Any) -> None:
        param, message = refusal(request(Message("user", (part,))))
        assert param == "messages.0.content.0"
        assert message.startswith("messages.0.content.0: ")

    @pytest.mark.parametrize(
        ("part", "sent"),
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
    def test_documents(self, part: Document, sent: dict[str, Any]) -> None:
        assert turns(Message("user", (part,)))[0]["content"] == [{"type": "document", **sent}]

    def test_a_native_document_comes_back_whole(self) -> None:
        native = Raw(b'{"type":"document","source":{"type":"content","content":"x"},"citations":{"enabled":true}}')
        part = Document(Source("text", "x"), cache=MARK, dialect="anthropic", native=native)
        assert turns(Message("user", (part,)), family="anthropic")[0]["content"] == [
            {
                "type": "document",
                "source": {"type": "content", "content": "x"},
                "citations": {"enabled": True},
                "cache_control": json.loads(bytes(MARK.native)),
            }
        ]

    def test_foreign_blocks_leave_their_words(self) -> None:
        spoken = Opaque("openai_responses", "web_search_call", Raw(b"{}"), "the words", True)
        silent = Opaque("openai_responses", "web_search_call", Raw(b"{}"), "", True)
        assert turns(HI, Message("assistant", (silent, spoken)), HI)[1]["content"] == "the words"


class TestReasoningOfThePast:
    SIGNED = Reasoning("Hm.", Seal("anthropic", "anthropic", {"signature": "sig"}))
    NATIVE = Reasoning("Hm.", Seal("anthropic", None, {"signature": "sig"}))
    REDACTED = Reasoning("", Seal("anthropic", None, {"redacted": "xyz"}))
    UNSIGNED = Reasoning("Hm.", Seal("anthropic", None, {"signature": ""}))

    @pytest.mark.parametrize(
        ("part", "sent"),
        [
            (SIGNED, {"type": "thinking", "thinking": "Hm.", "signature": "sig"}),
            (NATIVE, {"type": "thinking", "thinking": "Hm.", "signature": "sig"}),
            (REDACTED, {"type": "redacted_thinking", "data": "xyz"}),
        ],
    )
    def test_the_familys_own_goes_back_word_for_word(self, part: Reasoning, sent: dict[str, str]) -> None:
        assert turns(HI, Message("assistant", (part, Text("a"))), HI)[1]["content"] == [sent, {"type": "text", "text": "a"}]

    @pytest.mark.parametrize(
        "part",
        [Reasoning("x", Seal("openai_chat", "")), Reasoning("x", Seal("openai_responses", "u", {"id": "rs"})), Reasoning("x"), UNSIGNED],
    )
    def test_everything_else_is_dropped(self, part: Reasoning) -> None:
        assert turns(HI, Message("assistant", (part, Text("a"))), HI)[1]["content"] == "a"

    def test_some_servers_take_it_without_a_signature(self) -> None:
        told = turns(HI, Message("assistant", (self.UNSIGNED, Text("a"))), HI, quirks=Quirks(unsigned_thinking=True))
        assert told[1]["content"][0] == {"type": "thinking", "thinking": "Hm.", "signature": ""}


class TestTools:
    def test_definitions(self) -> None:
        tools = (
            Tool(name="a", description="Does a", schema=Raw(b'{"properties":{"x":{}},"type":"object"}'), strict=True),
            Tool(name="b"),
            Tool(name="c", schema=Raw(b'{"properties":{}}')),
            Tool(name="d", schema=Raw(b'{"type":["object","null"],"$defs":{}}'), family="openai_chat", native={"x": Raw(b"1")}),
            Tool(name="e", schema=Raw(b"true")),
        )
        assert encoded(request(tools=tools))["tools"] == [
            {"name": "a", "description": "Does a", "input_schema": {"properties": {"x": {}}, "type": "object"}, "strict": True},
            {"name": "b", "input_schema": {"type": "object", "properties": {}}},
            {"name": "c", "input_schema": {"type": "object", "properties": {}}},
            {"name": "d", "input_schema": {"type": "object", "$defs": {}}},
            {"name": "e", "input_schema": {"type": "object", "properties": {}}},
        ]

    def test_native_settings_and_tools_come_back(self) -> None:
        tools = (
            Tool(name="a", schema=Raw(b'{"type":"object"}'), family="anthropic", native={"defer_loading": Raw(b"true")}),
            HostedTool(
                family="anthropic", type="web_search_1", name="web_search", native=Raw(b'{"type":"web_search_1","name":"web_search"}')
            ),
        )
        assert encoded(request(family="anthropic", tools=tools))["tools"] == [
            {"name": "a", "input_schema": {"type": "object"}, "defer_loading": True},
            {"type": "web_search_1", "name": "web_search"},
        ]

    @pytest.mark.parametrize(
        ("choice", "parallel", "sent"),
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
    def test_the_choice(self, choice: ToolChoice | None, parallel: bool | None, sent: dict[str, Any] | None) -> None:
        body = encoded(request(tools=(Tool(name="a"),), tool_choice=choice, parallel_calls=parallel))
        assert (body.get("tool_choice"), len(body["tools"])) == (sent, 1)


class TestCacheMarks:
    def test_marks_stand_where_the_client_put_them(self) -> None:
        body = encoded(
            request(
                Message("user", (Text("Hi", MARK),)),
                Message("assistant", (ToolCall("t1", "f", "{}", cache=MARK),)),
                Message("user", (ToolResult("t1", (Text("x"),), cache=MARK),)),
                family="anthropic",
                tools=(Tool(name="f", cache=MARK),),
            )
        )
        native = {"type": "ephemeral", "ttl": "1h"}
        assert body["tools"][0]["cache_control"] == native
        assert [turn["content"][0]["cache_control"] for turn in body["messages"]] == [native, native, native]

    def test_marks_of_other_dialects_become_the_ordinary_one(self) -> None:
        marked = Message("user", (Text("Hi", CacheMark(Raw(b'{"mode":"explicit","ttl":"30m"}'))),))
        assert turns(marked) == [{"role": "user", "content": [{"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}]}]

    def test_of_more_than_four_the_last_stay(self) -> None:
        parts = tuple(Text(str(number), MARK) for number in range(3))
        body = encoded(request(Message("user", parts), system=(Text("s", MARK),), tools=(Tool(name="f", cache=MARK),)))
        assert "cache_control" not in body["tools"][0]
        assert body["system"][0]["cache_control"] == {"type": "ephemeral"}
        assert [("cache_control" in block) for block in body["messages"][0]["content"]] == [True, True, True]

    def test_the_automatic_mark_counts(self) -> None:
        parts = tuple(Text(str(number), MARK) for number in range(4))
        body = encoded(request(Message("user", parts), family="anthropic", extra={"cache_control": Raw(b'{"type":"ephemeral"}')}))
        assert [("cache_control" in block) for block in body["messages"][0]["content"]] == [False, True, True, True]
        assert body["cache_control"] == {"type": "ephemeral"}

    def test_automatic_marks_for_clients_that_give_none(self) -> None:
        to = destination(quirks=Quirks(automatic_cache=True))
        assert encoded(request(), to)["cache_control"] == {"type": "ephemeral"}
        assert "cache_control" not in encoded(request(Message("user", (Text("Hi", MARK),))), to)


def body_with(*blocks: dict[str, Any], **settings: Any) -> bytes:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": list(blocks)}, {"role": "user", "content": "Go on"}]
    return json.dumps({"model": "claude", "max_tokens": 9000, "messages": messages, **settings}).encode()


def patched(body: bytes, *, model: str = "claude", stream: bool = False) -> dict[str, Any]:
    sent = DIALECT.patch_request(DIALECT.open_request(body), destination(model, stream=stream), KEY)
    return json.loads(sent)


class TestPatching:
    def test_only_the_model_changes(self) -> None:
        body = b'{"model":"alias","unknown":{"z":1.50,"a":[ ]},"max_tokens":1,"messages":[{"role":"user","content":"Hi","x":1}]}'
        sent = DIALECT.patch_request(DIALECT.open_request(body), destination("claude-x"), KEY)
        assert sent == body.replace(b'"alias"', b'"claude-x"')

    def test_the_streaming_switch(self) -> None:
        assert patched(body_with({"type": "text", "text": "a"}), stream=True)["stream"] is True
        assert patched(body_with({"type": "text", "text": "a"}, stream=True))["stream"] is False

    def test_carriers_are_opened_or_dropped_and_the_rest_stays(self) -> None:
        own = pack(Seal("anthropic", "anthropic", {"signature": "sig"}), KEY)
        hidden = pack(Seal("anthropic", "anthropic", {"redacted": "xyz"}), KEY)
        foreign = pack(Seal("openai_chat", ""), KEY)
        rest = [
            {"type": "thinking", "thinking": "native", "signature": "s=="},
            {"type": "text", "text": "I say pxr1.x"},
            {"type": "new", "a": "pxr1."},
        ]
        blocks = [
            {"type": "thinking", "thinking": "Hm.", "signature": own},
            {"type": "redacted_thinking", "data": hidden},
            {"type": "thinking", "thinking": "Chat.", "signature": foreign},
            {"type": "thinking", "thinking": "Forged.", "signature": own[:-2]},
            *rest,
        ]
        assert patched(body_with(*blocks))["messages"][1]["content"] == [
            {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
            {"type": "redacted_thinking", "data": "xyz"},
            *rest,
        ]

    def test_a_message_that_was_nothing_but_a_carrier_goes(self) -> None:
        foreign = pack(Seal("openai_chat", ""), KEY)
        sent = patched(body_with({"type": "thinking", "thinking": "Chat.", "signature": foreign}))
        assert [message["role"] for message in sent["messages"]] == ["user", "user"]

    @pytest.mark.parametrize(("thinking", "stays"), [({"type": "enabled", "budget_tokens": 1024}, False), ({"type": "adaptive"}, True)])
    def test_manual_thinking_ends_where_a_tool_loop_lost_its_thinking(self, thinking: dict[str, Any], stays: bool) -> None:
        foreign = pack(Seal("openai_chat", ""), KEY)
        blocks = (
            {"type": "thinking", "thinking": "Chat.", "signature": foreign},
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        )
        assert ("thinking" in patched(body_with(*blocks, thinking=thinking))) is stays

    def test_a_message_with_content_of_another_kind_is_refused_on_the_way_in(self) -> None:
        with pytest.raises(ClientMistake, match=r"messages\.1\.role"):
            DIALECT.open_request(b'{"model":"m","messages":[{"role":"user","content":1},{"role":"robot","content":""}]}')


def test_the_path() -> None:
    assert DIALECT.path(destination()) == "/v1/messages"
    assert DIALECT.path(destination(quirks=Quirks(api_path="/anthropic/messages"))) == "/anthropic/messages"

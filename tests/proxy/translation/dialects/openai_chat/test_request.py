"""Chat requests: what goes up to a chat upstream, and what passes through unchanged."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec
import pytest

from proxy.translation import reasoning_seal
from proxy.translation.adaptation.adapt import adapt
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
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope
from proxy.translation.quirks import Quirks

KEY = b"a secret"
PNG = Source("base64", "iVBORw0KGgo=", "image/png")
PNG_URL = "data:image/png;base64,iVBORw0KGgo="
SCHEMA = msgspec.Raw(b'{"type":"object","zeta":1,"alpha":2}')


def destination(*, stream: bool = False, ceiling: int | None = None, **quirks: Any) -> EncodeTarget:
    return EncodeTarget(model="up", dialect="openai_chat", stream=stream, max_output_tokens=ceiling, quirks=Quirks(**quirks))


def request(*messages: Message, family: str = "anthropic", **fields: Any) -> Request:
    return Request(model="m", messages=messages or (user("Hi"),), family=family, **fields)


def user(*parts: Part | str) -> Message:
    return Message("user", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def assistant(*parts: Part | str) -> Message:
    return Message("assistant", tuple(Text(part) if isinstance(part, str) else part for part in parts))


def encoded(wanted: Request, *, stream: bool = False, ceiling: int | None = None, **quirks: Any) -> dict[str, Any]:
    """What a chat upstream gets, adapted as always."""
    target = destination(stream=stream, ceiling=ceiling, **quirks)
    adapted = adapt(wanted, target, family=DIALECT.family, traits=DIALECT.traits)
    return json.loads(DIALECT.encode_request(adapted.request, target))


def messages_of(*messages: Message, family: str = "anthropic", system: tuple[Text, ...] = (), **quirks: Any) -> list[dict[str, Any]]:
    return encoded(request(*messages, family=family, system=system), **quirks)["messages"]


def settings_of(
    family: str = "anthropic", *, stream: bool = False, ceiling: int | None = None, quirks: dict[str, Any] | None = None, **fields: Any
) -> dict[str, Any]:
    told = encoded(request(family=family, **fields), stream=stream, ceiling=ceiling, **(quirks or {}))
    del told["model"], told["messages"]
    return told


def opened(body: dict[str, Any]) -> Envelope:
    return DIALECT.open_request(json.dumps(body).encode())


# --- system text -----------------------------------------------------------------------------------------------------


def test_leading_system_texts_are_one_message() -> None:
    assert messages_of(user("Hi"), system=(Text("A"), Text(""), Text("B"))) == [
        {"role": "system", "content": "A\n\nB"},
        {"role": "user", "content": "Hi"},
    ]


def test_an_empty_system_text_is_no_message() -> None:
    assert messages_of(user("Hi"), system=(Text(""),)) == [{"role": "user", "content": "Hi"}]


def test_upstreams_that_know_developer_get_developer() -> None:
    told = messages_of(user("Hi"), Message("system", (Text("B"),)), system=(Text("A"),), supports_developer=True)
    assert [message["role"] for message in told] == ["developer", "user", "developer"]


def test_late_system_text_stays_in_its_place() -> None:
    told = messages_of(user("Hi"), assistant("Yes"), Message("system", (Text("B"), Text("C"))), user("Go"), system=(Text("A"),))
    assert told[3] == {"role": "system", "content": "B\n\nC"}
    assert [message["role"] for message in told] == ["system", "user", "assistant", "system", "user"]


def test_late_system_text_is_hoisted_for_strict_templates() -> None:
    told = messages_of(user("Hi"), Message("system", (Text("B"),)), user("Go"), system=(Text("A"),), late_system="hoist")
    assert told == [{"role": "system", "content": "A\n\nB"}, {"role": "user", "content": "Hi"}, {"role": "user", "content": "Go"}]


def test_system_text_never_stands_between_calls_and_results() -> None:
    told = messages_of(
        user("Hi"), assistant(ToolCall("c1", "f", "{}")), Message("system", (Text("S"),)), user(ToolResult("c1", (Text("ok"),)))
    )
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "system"]


# --- users and results -----------------------------------------------------------------------------------------------


def test_results_are_one_tool_message_each_first_and_in_order() -> None:
    told = messages_of(
        user("Hi"),
        assistant(ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}")),
        user(ToolResult("c1", (Text("one"), Text("two"))), ToolResult("c2"), "And now?"),
    )
    assert told[2:] == [
        {"role": "tool", "tool_call_id": "c1", "content": "one\ntwo"},
        {"role": "tool", "tool_call_id": "c2", "content": ""},
        {"role": "user", "content": "And now?"},
    ]


def test_media_of_results_follow_all_tool_messages() -> None:
    told = messages_of(
        user("Hi"),
        assistant(ToolCall("c1", "f", "{}"), ToolCall("c2", "g", "{}")),
        user(
            ToolResult("c1", (Image(PNG),)),
            ToolResult("c2", (Text("see"), Document(Source("base64", "JVBERi0=", "application/pdf")))),
            "Well?",
        ),
    )
    assert told[2:] == [
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


def test_an_empty_text_beside_an_image_says_nothing() -> None:
    told = messages_of(user("Hi"), assistant(ToolCall("c1", "f", "{}")), user(ToolResult("c1", (Text(""), Image(PNG)))))
    assert told[2]["content"] == "[image attached below]"


def test_upstreams_that_take_images_in_results_get_them_there() -> None:
    told = messages_of(
        user("Hi"), assistant(ToolCall("c1", "f", "{}")), user(ToolResult("c1", (Text("see"), Image(PNG)))), tool_image_parts=True
    )
    assert told[2:] == [
        {
            "role": "tool",
            "tool_call_id": "c1",
            "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": PNG_URL}}],
        }
    ]


@pytest.mark.parametrize(
    ("words", "shown"), [("no such file", "Error: no such file"), ("Error: no such file", "Error: no such file"), ("", "Error: ")]
)
def test_a_failed_result_says_so_once(words: str, shown: str) -> None:
    content = (Text(words),) if words else ()
    told = messages_of(user("Hi"), assistant(ToolCall("c1", "f", "{}")), user(ToolResult("c1", content, is_error=True)))
    assert told[2]["content"] == shown


def test_a_failed_result_of_a_picture_alone_says_so_before_the_placeholder() -> None:
    failed = ToolResult("c1", (Image(Source("base64", "AAAA", "image/png")),), is_error=True)
    told = messages_of(user("Hi"), assistant(ToolCall("c1", "f", "{}")), user(failed))
    assert told[2] == {"role": "tool", "tool_call_id": "c1", "content": "Error: [image attached below]"}


def test_search_results_and_texts_to_read_are_text() -> None:
    found = Opaque("anthropic", "search_result", msgspec.Raw(b"{}"), "Title\nhttps://e.com\nwords")
    told = messages_of(user(found, Document(Source("text", "the words", "text/plain"), title="Notes"), "Sum up"))
    assert told == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "Title\nhttps://e.com\nwords"},
                {"type": "text", "text": "Notes\nthe words"},
                {"type": "text", "text": "Sum up"},
            ],
        }
    ]


def test_images_and_documents_in_chats_shapes() -> None:
    told = messages_of(
        user(
            Image(Source("url", "https://e.com/a.png"), detail="low"),
            Document(Source("base64", "JVBERi0=", "application/pdf"), title="Report"),
            Document(Source("base64", "JVBERi0=", "application/pdf"), title="Report", filename="r.pdf"),
            Audio("UklG", "wav"),
        )
    )
    assert told[0]["content"] == [
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
def test_content_that_chat_cannot_carry_is_refused_by_its_path(part: Part) -> None:
    with pytest.raises(ClientMistake) as caught:
        messages_of(user(part))
    assert caught.value.failure.param == "messages.0.content.0"
    assert caught.value.failure.message.startswith("messages.0.content.0: ")


# --- assistants ------------------------------------------------------------------------------------------------------


def test_texts_and_calls_are_one_message_with_compact_arguments() -> None:
    told = messages_of(user("Hi"), assistant("Let me", ToolCall("c1", "f", '{"a": 1, "z": [1, 2]}'), " see.", ToolCall("c2", "g", "")))
    assert told[1] == {
        "role": "assistant",
        "content": "Let me see.",
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1,"z":[1,2]}'}},
            {"id": "c2", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        ],
    }


def test_the_arguments_of_an_openai_client_stay_as_they_were_written() -> None:
    told = messages_of(user("Hi"), assistant(ToolCall("c1", "f", '{"a": 1}')), family="openai_responses")
    assert told[1]["tool_calls"][0]["function"]["arguments"] == '{"a": 1}'


def test_absent_content_is_null_or_empty_as_the_upstream_likes_it() -> None:
    call = assistant(ToolCall("c1", "f", "{}"))
    assert messages_of(user("Hi"), call)[1]["content"] is None
    assert messages_of(user("Hi"), call, empty_assistant_content="empty")[1]["content"] == ""


def test_an_assistant_message_without_anything_left_is_dropped_and_its_neighbours_merge() -> None:
    told = messages_of(user("a"), assistant(Reasoning("hm", Seal("anthropic", "anthropic", {"signature": "s"}))), user("b"))
    assert told == [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]


def test_neighbouring_user_messages_stay_apart() -> None:
    assert messages_of(user("a"), user("b")) == [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]


def test_messages_of_one_turn_with_calls_are_merged() -> None:
    told = messages_of(
        user("Hi"),
        assistant("Text. "),
        assistant(ToolCall("c1", "f", "{}")),
        assistant(ToolCall("c2", "g", "{}")),
        family="openai_responses",
    )
    assert (told[1]["content"], [call["id"] for call in told[1]["tool_calls"]]) == ("Text. ", ["c1", "c2"])
    assert [message["role"] for message in told] == ["user", "assistant", "tool", "tool"]


def test_plain_assistant_messages_stay_apart() -> None:
    assert [message["content"] for message in messages_of(user("Hi"), assistant("A"), assistant("B"), user("C"))] == ["Hi", "A", "B", "C"]


@pytest.mark.parametrize(
    ("seal", "sent"),
    [
        (Seal("openai_chat", ""), "hm"),
        (Seal("openai_chat", None), "hm"),
        (Seal("anthropic", "anthropic", {"signature": "s"}), None),
        (Seal("openai_responses", "up-1", {"id": "rs"}), None),
        (None, None),
    ],
)
def test_only_chats_own_reasoning_goes_back(seal: Seal | None, sent: str | None) -> None:
    told = messages_of(user("Hi"), assistant(Reasoning("hm", seal), "So."))
    assert told[1].get("reasoning_content") == sent
    assert told[1]["content"] == "So."


def test_upstreams_that_require_reasoning_get_it_on_every_turn_with_calls() -> None:
    told = messages_of(
        user("Hi"), assistant(ToolCall("c1", "f", "{}")), user(ToolResult("c1")), assistant("Done"), requires_reasoning_content=True
    )
    assert told[1]["reasoning_content"] == ""
    assert "reasoning_content" not in told[3]


def test_server_tool_blocks_in_the_history_are_their_text_or_nothing() -> None:
    quiet = Opaque("anthropic", "server_tool_use", msgspec.Raw(b"{}"), history=True)
    told = messages_of(
        user("Hi"), assistant(quiet, Opaque("anthropic", "web_search_tool_result", msgspec.Raw(b"{}"), "found", history=True)), user("x")
    )
    assert told[1] == {"role": "assistant", "content": "found"}


def test_a_prefill_goes_last_or_is_refused() -> None:
    assert messages_of(user("Hi"), assistant("Sure, "))[-1] == {"role": "assistant", "content": "Sure, "}
    with pytest.raises(ClientMistake) as caught:
        messages_of(user("Hi"), assistant("Sure, "), no_prefill=True)
    assert caught.value.failure.param == "messages"


def test_blocks_of_chat_itself_go_back_as_they_came() -> None:
    native = msgspec.Raw(b'{"type":"hologram","data":"AA"}')
    told = messages_of(user("See", Opaque("openai_chat", "hologram", native, at="x")), family="openai_chat")
    assert told[0]["content"] == [{"type": "text", "text": "See"}, {"type": "hologram", "data": "AA"}]


# --- cache markers ---------------------------------------------------------------------------------------------------


def test_cache_markers_are_dropped_by_default() -> None:
    assert messages_of(user(Text("a", CacheMark())), system=(Text("S", CacheMark()),)) == [
        {"role": "system", "content": "S"},
        {"role": "user", "content": "a"},
    ]


def test_cache_markers_pass_to_upstreams_that_read_them() -> None:
    told = messages_of(user(Text("a", CacheMark()), Text("b")), system=(Text("S", CacheMark()),), cache_markers="passthrough")
    assert told == [
        {"role": "system", "content": [{"type": "text", "text": "S", "cache_control": {"type": "ephemeral"}}]},
        {"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}}, {"type": "text", "text": "b"}]},
    ]


def test_cache_markers_become_the_last_four_breakpoints() -> None:
    marked = [user(Text(str(number), CacheMark())) for number in range(4)]
    told = messages_of(*marked, system=(Text("S", CacheMark()),), cache_markers="openai_breakpoints")
    assert told[0] == {"role": "system", "content": [{"type": "text", "text": "S"}]}
    assert [message["content"][0].get("prompt_cache_breakpoint") for message in told[1:]] == [{"mode": "explicit"}] * 4


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fields", "quirks", "sent"),
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
def test_a_setting_of_an_anthropic_client(fields: dict[str, Any], quirks: dict[str, Any], sent: dict[str, Any]) -> None:
    assert settings_of(quirks=quirks, **fields) == sent


def test_a_limit_beyond_the_models_maximum_is_lowered_to_it() -> None:
    assert settings_of(max_tokens=64000, ceiling=8192) == {"max_completion_tokens": 8192}


def test_too_many_stops_are_refused_where_the_upstream_says_so() -> None:
    with pytest.raises(ClientMistake) as caught:
        settings_of(stop=tuple("abcde"), quirks={"too_many_stops": "refuse"})
    assert caught.value.failure.param == "stop"


@pytest.mark.parametrize(
    ("quirks", "sent"), [({}, {"stream": True, "stream_options": {"include_usage": True}}), ({"stream_usage": False}, {"stream": True})]
)
def test_a_stream_always_asks_for_usage(quirks: dict[str, Any], sent: dict[str, Any]) -> None:
    assert settings_of(stream=True, quirks=quirks) == sent


def test_a_responses_client_keeps_its_metadata_and_cache_key_but_not_its_verbosity() -> None:
    fields = {"verbosity": "low", "prompt_cache_key": "k", "metadata": {"a": "b"}, "service_tier": "flex", "parallel_calls": True}
    assert settings_of("openai_responses", **fields) == {"metadata": {"a": "b"}, "prompt_cache_key": "k", "service_tier": "flex"}


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
    assert settings_of(reasoning=setting, quirks=quirks) == ({} if effort is None else {"reasoning_effort": effort})


def test_tools_keep_their_schema_and_none_is_left_out() -> None:
    tools = (Tool(name="f", description="d", schema=SCHEMA, strict=True), Tool(name="g"))
    told = json.dumps(settings_of(tools=tools, tool_choice=ToolChoice(mode="tool", name="f"), parallel_calls=False))
    assert told == (
        '{"tools": [{"type": "function", "function": {"name": "f", "description": "d", '
        '"parameters": {"type": "object", "zeta": 1, "alpha": 2}, "strict": true}}, {"type": "function", "function": {"name": "g"}}], '
        '"tool_choice": {"type": "function", "function": {"name": "f"}}, "parallel_tool_calls": false}'
    )


def test_a_subset_of_tools_is_named() -> None:
    tools = (Tool(name="f"), Tool(name="g"), Tool(name="h"))
    choice = ToolChoice(mode="auto", subset=("f", "g"))
    assert settings_of("openai_responses", tools=tools, tool_choice=choice)["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "auto", "tools": [{"type": "function", "function": {"name": name}} for name in ("f", "g")]},
    }


def test_custom_tools_go_as_they_are_to_upstreams_that_know_them() -> None:
    form = msgspec.Raw(b'{"type":"text"}')
    wanted = request(
        user("x"),
        assistant(ToolCall("c1", "p", "*** Begin", "custom")),
        user(ToolResult("c1", (Text("ok"),), kind="custom")),
        family="openai_responses",
        tools=(Tool(name="p", kind="custom", format=form),),
        tool_choice=ToolChoice(mode="tool", name="p", kind="custom"),
    )
    told = encoded(wanted, supports_custom_tools=True)
    assert told["tools"] == [{"type": "custom", "custom": {"name": "p", "format": {"type": "text"}}}]
    assert told["tool_choice"] == {"type": "custom", "custom": {"name": "p"}}
    assert told["messages"][1]["tool_calls"] == [{"id": "c1", "type": "custom", "custom": {"name": "p", "input": "*** Begin"}}]


def test_hosted_tools_of_chat_go_back_where_they_stood() -> None:
    tools = (
        HostedTool(family="openai_chat", type="web_search_options", name="web_search", native=msgspec.Raw(b"{}")),
        HostedTool(family="openai_chat", type="x", name="x", native=msgspec.Raw(b'{"type":"x"}')),
    )
    assert settings_of("openai_chat", tools=tools) == {"web_search_options": {}, "tools": [{"type": "x"}]}


@pytest.mark.parametrize(
    ("family", "output", "sent"),
    [
        (
            "anthropic",
            OutputFormat(kind="json_schema", schema=SCHEMA),
            {"name": "response", "schema": {"type": "object", "zeta": 1, "alpha": 2}, "strict": True},
        ),
        ("openai_responses", OutputFormat(kind="json_schema", name="a b", schema=SCHEMA, description="d"), None),
    ],
)
def test_a_schema_for_the_answer(family: str, output: OutputFormat, sent: dict[str, Any] | None) -> None:
    sent = sent or {"name": "a_b", "description": "d", "schema": {"type": "object", "zeta": 1, "alpha": 2}}
    assert settings_of(family, output=output) == {"response_format": {"type": "json_schema", "json_schema": sent}}


def test_json_without_a_schema() -> None:
    assert settings_of(output=OutputFormat(kind="json_object")) == {"response_format": {"type": "json_object"}}


def test_a_chat_request_that_has_to_be_rebuilt_keeps_chats_own_settings() -> None:
    body = {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi", "name": "ann"}],
        "seed": 7,
        "verbosity": "low",
        "n": 2,
        "store": None,
    }
    told = DIALECT.encode_request(DIALECT.decode_request(opened(body), KEY), destination())
    assert json.loads(told) == {"model": "up", "messages": body["messages"], "verbosity": "low", "seed": 7, "n": 2}


# --- within the dialect ----------------------------------------------------------------------------------------------


def test_a_body_passes_through_with_the_upstreams_model() -> None:
    rest = b'"messages":[ {"role":"user","content":"\\u00fc","weird":1.50} ],"max_tokens":5,"x":{"b":1,"a":2}}'
    envelope = DIALECT.open_request(b'{"model":"m", ' + rest)
    assert DIALECT.patch_request(envelope, destination(), KEY) == (
        b'{"model":"up","messages":[ {"role":"user","content":"\\u00fc","weird":1.50} ],"max_tokens":5,"x":{"b":1,"a":2}}'
    )


def test_a_stream_asks_for_usage_and_keeps_its_other_options() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True, "stream_options": {"include_obfuscation": False}}
    assert json.loads(DIALECT.patch_request(opened(body), destination(stream=True), KEY))["stream_options"] == {
        "include_obfuscation": False,
        "include_usage": True,
    }
    without = json.loads(DIALECT.patch_request(opened(body), destination(stream=True, stream_usage=False), KEY))
    assert without["stream_options"] == {"include_obfuscation": False}


def test_audio_in_another_servers_shape_passes_within_the_dialect() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": "UklGRg=="}]}]}
    assert json.loads(DIALECT.patch_request(opened(body), destination(), KEY))["messages"] == body["messages"]
    with pytest.raises(ClientMistake) as caught:
        DIALECT.decode_request(opened(body), KEY)
    assert caught.value.failure.param == "messages.0.content.0.input_audio"


def test_our_carriers_are_taken_out_and_nothing_else() -> None:
    carrier = reasoning_seal.pack(Seal("anthropic", "anthropic", {"signature": "s"}), KEY)
    other = {"type": "reasoning.text", "text": "z", "signature": "theirs"}
    mixed = {
        "role": "assistant",
        "content": carrier,
        "reasoning_content": "y",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": carrier}, other],
    }
    only = {
        "role": "assistant",
        "content": "x",
        "reasoning_details": [{"type": "reasoning.text", "text": "y", "signature": carrier}],
        "k": None,
    }
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}, mixed, only]}
    assert json.loads(DIALECT.patch_request(opened(body), destination(), KEY))["messages"] == [
        {"role": "user", "content": "q"},
        mixed | {"reasoning_details": [other]},
        {"role": "assistant", "content": "x", "k": None},
    ]


@pytest.mark.parametrize(("requires", "left"), [(False, {}), (True, {"reasoning_content": ""})])
def test_the_text_of_sealed_reasoning_goes_to_no_other_provider(requires: bool, left: dict[str, str]) -> None:
    carrier = reasoning_seal.pack(Seal("anthropic", "anthropic", {"signature": "s"}), KEY)
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    turn = {"role": "assistant", "content": None, "tool_calls": calls}
    sealed = {"reasoning_content": "y", "reasoning_details": [{"type": "reasoning.text", "text": "y", "signature": carrier, "index": 0}]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "r"}
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}, turn | sealed, result]}
    told = json.loads(DIALECT.patch_request(opened(body), destination(requires_reasoning_content=requires), KEY))
    assert told["messages"] == [{"role": "user", "content": "q"}, turn | left, result]


def test_a_body_whose_fields_were_changed_is_read_anew() -> None:
    envelope = opened({"model": "m", "messages": [{"role": "user", "content": "x"}], "temperature": 1})
    changed = msgspec.structs.replace(envelope, fields={**envelope.fields, "temperature": msgspec.Raw(b"0.5")})
    assert DIALECT.decode_request(changed, KEY).temperature == 0.5


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"", None),
        (b"[]", None),
        (b"{", None),
        (b'{"messages":[{"role":"user","content":"x"}]}', "model"),
        (b'{"model":1,"messages":[{"role":"user","content":"x"}]}', "model"),
        (b'{"model":"","messages":[{"role":"user","content":"x"}]}', "model"),
        (b'{"model":"m","messages":{}}', "messages"),
        (b'{"model":"m","messages":[1]}', "messages.0"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"max_tokens":"5"}', "max_tokens"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"temperature":"hot"}', "temperature"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"stream":1}', "stream"),
        (b'{"model":"m","messages":[{"role":"user","content":"x"}],"tools":{}}', "tools"),
        (b'{"model":"m","messages":[{"role":"user","content":[{"type":"text","text":3}]}]}', "messages.0.content.0.text"),
        (b"[" * 100_000, None),
    ],
)
def test_a_body_that_makes_no_sense_is_refused_with_its_path(body: bytes, param: str | None) -> None:
    with pytest.raises(ClientMistake) as caught:
        DIALECT.open_request(body)
    assert (caught.value.failure.kind, caught.value.failure.param) == ("invalid_request", param)

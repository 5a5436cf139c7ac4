"""What a Responses client sends, as it is understood."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from proxy.translation import reasoning_seal
from proxy.translation.canonical import (
    Audio,
    CacheMark,
    Demand,
    Document,
    HostedTool,
    Image,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    ReasoningSetting,
    Seal,
    Source,
    Text,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from tests.proxy.translation.dialects.openai_responses.samples import KEY, decoded, messages

PNG = "data:image/png;base64,iVBORw0KGgo="


def raw(value: Any) -> msgspec.Raw:
    return msgspec.Raw(msgspec.json.encode(value))


# --- input -----------------------------------------------------------------------------------------------------------


def test_a_string_is_one_user_message() -> None:
    assert decoded(input="hello").messages == (Message("user", (Text("hello"),)),)


def test_items_without_a_type_are_messages() -> None:
    assert messages({"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}) == (
        Message("user", (Text("a"),)),
        Message("assistant", (Text("b"),)),
    )


def test_instructions_come_before_leading_developer_and_system_items() -> None:
    request = decoded(
        instructions="first",
        input=[
            {"role": "developer", "content": [{"type": "input_text", "text": "second"}, {"type": "input_text", "text": "third"}]},
            {"role": "system", "content": "fourth"},
            {"role": "user", "content": "hi"},
            {"role": "developer", "content": "late"},
        ],
    )
    assert request.system == (Text("first"), Text("second"), Text("third"), Text("fourth"))
    assert request.messages == (Message("user", (Text("hi"),)), Message("system", (Text("late"),)))


def test_empty_instructions_are_no_system_text() -> None:
    assert decoded(instructions="").system == ()


def test_assistant_items_up_to_the_next_output_form_one_message() -> None:
    assert messages(
        {"role": "user", "content": "go"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "hm"}], "encrypted_content": "gAAA"},
        {"type": "message", "id": "msg_1", "status": "completed", "phase": "final", "role": "assistant",
         "content": [{"type": "output_text", "text": "calling", "annotations": [{"type": "file_path"}]}]},
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "f", "arguments": "{}", "status": "completed"},
        {"type": "custom_tool_call", "call_id": "c2", "name": "patch", "input": "*** Begin", "namespace": "tools"},
        {"type": "function_call_output", "call_id": "c1", "output": "one"},
        {"type": "custom_tool_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "two"}]},
        {"role": "assistant", "content": "done"},
    ) == (
        Message("user", (Text("go"),)),
        Message(
            "assistant",
            (
                Reasoning("hm", Seal("openai_responses", None, {"id": "rs_1", "encrypted_content": "gAAA"})),
                Text("calling"),
                ToolCall("c1", "f", "{}"),
                ToolCall("c2", "patch", "*** Begin", kind="custom", namespace="tools"),
            ),
        ),
        Message("user", (ToolResult("c1", (Text("one"),)), ToolResult("c2", (Text("two"),), kind="custom"))),
        Message("assistant", (Text("done"),)),
    )  # fmt: skip


def test_parts_of_a_user_message_keep_their_order() -> None:
    content = [
        {"type": "input_text", "text": "look", "prompt_cache_breakpoint": {"mode": "explicit"}},
        {"type": "input_image", "image_url": PNG, "detail": "low"},
        {"type": "input_image", "image_url": "https://example.com/a.png"},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0="},
        {"type": "input_file", "filename": "a.txt", "file_data": "data:text/plain;base64,aGVsbG8="},
        {"type": "input_file", "file_url": "https://example.com/b.pdf"},
        {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}},
        {"type": "input_video", "data": "x"},
    ]
    (message,) = messages({"role": "user", "content": content})
    at = "input.0.content."
    assert message.parts == (
        Text("look", CacheMark()),
        Image(Source("base64", "iVBORw0KGgo=", "image/png"), "low", at=at + "1"),
        Image(Source("url", "https://example.com/a.png"), at=at + "2"),
        Image(Source("file", "file-1"), at=at + "3"),
        Document(Source("base64", "JVBERi0=", "application/pdf"), filename="a.pdf", at=at + "4"),
        Document(Source("text", "hello", "text/plain"), filename="a.txt", at=at + "5"),
        Document(Source("url", "https://example.com/b.pdf"), at=at + "6"),
        Audio("UklG", "wav", at + "7"),
        Opaque("openai_responses", "input_video", raw({"type": "input_video", "data": "x"}), at=at + "8"),
    )


def test_images_in_tool_outputs_stay_there() -> None:
    output = [{"type": "input_text", "text": "shot:"}, {"type": "input_image", "image_url": PNG}]
    *_, last = messages(
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": output},
    )
    image = Image(Source("base64", "iVBORw0KGgo=", "image/png"), at="input.1.output.1")
    assert last == Message("user", (ToolResult("c1", (Text("shot:"), image)),))


def test_an_empty_output_is_an_empty_result() -> None:
    *_, last = messages(
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": ""},
        {"type": "function_call_output", "call_id": "c1", "output": ""},
    )
    assert last == Message("user", (ToolResult("c1"),))


def test_refusals_of_the_history_are_refusals() -> None:
    (message,) = messages({"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]})
    assert message.parts == (Text("no", refusal=True),)


def test_lone_surrogates_become_replacement_characters() -> None:
    field = b'{"model":"m","input":[{"role":"user","content":"a\\ud83d"},{"role":"assistant","content":"b"}]}'
    request = DIALECT.decode_request(DIALECT.open_request(field), KEY)
    assert request.messages == (Message("user", (Text("a\N{REPLACEMENT CHARACTER}"),)), Message("assistant", (Text("b"),)))


# --- reasoning, compaction, items of the vendor ----------------------------------------------------------------------


def test_a_carrier_is_opened_with_our_key() -> None:
    seal = Seal("anthropic", "anthropic", {"signature": "sig"})
    item = {"type": "reasoning", "id": "rs_9", "summary": [{"type": "summary_text", "text": "hm"}]}
    (opened,) = messages({**item, "encrypted_content": reasoning_seal.pack(seal, KEY)})
    (forged,) = messages({**item, "encrypted_content": reasoning_seal.pack(seal, b"another key")})
    assert (opened.parts, forged.parts) == ((Reasoning("hm", seal),), (Reasoning("hm", None),))


def test_summary_parts_are_joined_by_empty_lines() -> None:
    summary = [{"type": "summary_text", "text": "one"}, {"type": "summary_text", "text": "two"}]
    (message,) = messages({"type": "reasoning", "id": "rs_1", "summary": summary, "encrypted_content": "gAAA"})
    assert message.parts[0] == Reasoning("one\n\ntwo", Seal("openai_responses", None, {"id": "rs_1", "encrypted_content": "gAAA"}))


def test_raw_reasoning_replaces_a_missing_summary() -> None:
    (message,) = messages({"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "raw"}]})
    assert message.parts == (Reasoning("raw", Seal("openai_responses", None, {"form": "content"})),)


def test_hosted_tool_items_are_history_with_their_text() -> None:
    search = {"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "x"}}
    shell = {"type": "shell_call_output", "call_id": "s1", "output": [{"stdout": "a", "stderr": "b", "outcome": {"type": "exit"}}]}
    mcp = {"type": "mcp_call", "id": "mcp_1", "name": "t", "arguments": "{}", "server_label": "s", "output": "found"}
    (message,) = messages(search, shell, mcp)
    family = "openai_responses"
    assert message == Message(
        "assistant",
        (
            Opaque(family, "web_search_call", raw(search), history=True, at="input.0"),
            Opaque(family, "shell_call_output", raw(shell), "a\nb", history=True, at="input.1"),
            Opaque(family, "mcp_call", raw(mcp), "found", history=True, at="input.2"),
        ),
    )


def test_unknown_items_are_kept_for_their_family() -> None:
    item = {"type": "telepathy", "content": 7}
    assert messages(item) == (Message("user", (Opaque("openai_responses", "telepathy", raw(item), at="input.0"),)),)


def test_a_foreign_compaction_is_kept_whole() -> None:
    item = {"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAA"}
    assert messages(item) == (Message("user", (Opaque("openai_responses", "compaction", raw(item), at="input.0"),)),)


def test_calls_without_a_namespace_mean_the_tool_in_the_default_one() -> None:
    tools = [{"type": "namespace", "name": "functions", "description": "", "tools": [{"type": "custom", "name": "exec"}]}]
    (message,) = messages(
        {"type": "additional_tools", "role": "developer", "tools": tools},
        {"type": "custom_tool_call", "call_id": "c1", "name": "exec", "input": "ls"},
    )
    assert message.parts == (ToolCall("c1", "exec", "ls", kind="custom", namespace="functions"),)


# --- tools -----------------------------------------------------------------------------------------------------------


def test_tools_of_every_kind() -> None:
    schema = {"type": "object", "properties": {"b": {}, "a": {}}}
    grammar = {"type": "grammar", "syntax": "lark", "definition": "start: /.+/"}
    request = decoded(
        tools=[
            {"type": "function", "name": "f", "description": "does f", "parameters": schema, "strict": False, "defer_loading": True},
            {"type": "function", "name": "g", "parameters": None},
            {"type": "custom", "name": "patch", "description": "patches", "format": grammar},
            {"type": "namespace", "name": "ns", "description": "a space", "tools": [{"type": "function", "name": "h", "strict": True}]},
            {"type": "web_search", "external_web_access": True},
            {"type": "mcp", "server_label": "s", "tools": "any", "name": 5},
        ],
        input=[
            {"type": "additional_tools", "role": "developer", "tools": [{"type": "function", "name": "late"}]},
            {"role": "user", "content": "hi"},
        ],
    )
    family = "openai_responses"
    assert request.tools == (
        Tool(name="f", description="does f", schema=raw(schema), strict=False, family=family, native={"defer_loading": raw(True)}),
        Tool(name="g", family=family),
        Tool(name="patch", description="patches", kind="custom", format=raw(grammar), family=family),
        Tool(name="h", strict=True, namespace="ns", namespace_description="a space", family=family),
        HostedTool(
            family=family,
            type="web_search",
            name="web_search",
            native=raw({"type": "web_search", "external_web_access": True}),
            at="tools.4",
        ),
        HostedTool(
            family=family, type="mcp", name="mcp", native=raw({"type": "mcp", "server_label": "s", "tools": "any", "name": 5}), at="tools.5"
        ),
        Tool(name="late", family=family, at="input[].tools[]"),
    )


def test_schemas_keep_every_byte() -> None:
    schema = b'{"type": "object",  "x-unknown": 1.0, "properties": {"z": {"const": 1e2}}}'
    field = b'{"model":"m","input":"hi","tools":[{"type":"function","name":"f","parameters":' + schema + b"}]}"
    tool = DIALECT.decode_request(DIALECT.open_request(field), KEY).tools[0]
    assert isinstance(tool, Tool)
    assert tool.schema == msgspec.Raw(schema)


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ("auto", ToolChoice(mode="auto")),
        ("none", ToolChoice(mode="none")),
        ("required", ToolChoice(mode="required")),
        (None, None),
        ({"type": "function", "name": "f"}, ToolChoice(mode="tool", name="f")),
        ({"type": "custom", "name": "p"}, ToolChoice(mode="tool", name="p", kind="custom")),
        ({"type": "web_search_preview"}, ToolChoice(mode="tool", name="web_search_preview", kind="web_search_preview")),
        ({"type": "mcp", "server_label": "s", "name": "t"}, ToolChoice(mode="tool", name="mcp", kind="mcp")),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "f"}, {"type": "image_generation"}]},
            ToolChoice(mode="required", subset=("f", "image_generation")),
        ),
    ],
)
def test_tool_choices(field: Any, expected: ToolChoice | None) -> None:
    assert decoded(tool_choice=field).tool_choice == expected


# --- settings --------------------------------------------------------------------------------------------------------


def test_settings_with_a_canonical_place() -> None:
    request = decoded(
        max_output_tokens=100, temperature=0.5, top_p=0.9, parallel_tool_calls=False, metadata={"a": "b"}, service_tier="flex",
        user="u", safety_identifier="s", prompt_cache_key="k", stream=True, client_metadata={"session_id": "sess", "n": 1},
        text={"verbosity": "low", "format": {"type": "json_schema", "name": "x", "schema": {"type": "object"}, "strict": True}},
        reasoning={"effort": "xhigh", "summary": "detailed"},
    )  # fmt: skip
    fields = {name: getattr(request, name) for name in request.__struct_fields__ if name not in ("messages", "extra", "model", "family")}
    assert {name: value for name, value in fields.items() if value not in (None, (), False)} == {
        "max_tokens": 100,
        "temperature": 0.5,
        "top_p": 0.9,
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "end_user": "s",
        "prompt_cache_key": "k",
        "stream": True,
        "verbosity": "low",
        "output": OutputFormat(kind="json_schema", name="x", schema=raw({"type": "object"}), strict=True),
        "reasoning": ReasoningSetting(mode="effort", effort="xhigh", summary="detailed"),
    }
    assert request.parallel_calls is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (None, None),
        ({}, None),
        ({"format": None}, None),
        ({"format": {"type": "text"}}, None),
        ({"format": {"type": "json_object"}}, OutputFormat(kind="json_object")),
    ],
)
def test_output_formats(text: Any, expected: OutputFormat | None) -> None:
    assert decoded(text=text).output == expected


@pytest.mark.parametrize("field", [None, {}, {"effort": None}])
def test_reasoning_without_an_effort_or_a_summary_is_no_setting(field: Any) -> None:
    assert decoded(reasoning=field).reasoning is None


def test_a_summary_needs_no_effort() -> None:
    assert decoded(reasoning={"summary": "auto"}).reasoning == ReasoningSetting(mode="effort", summary="auto")


def test_null_means_absent_everywhere() -> None:
    names = (
        "instructions", "max_output_tokens", "tools", "tool_choice", "text", "reasoning", "include", "store", "stream",
        "temperature", "top_p", "top_logprobs", "metadata", "user", "previous_response_id", "conversation", "prompt", "background",
        "truncation", "service_tier",
    )  # fmt: skip
    assert decoded(**dict.fromkeys(names)) == decoded()


def test_the_clients_own_json_is_kept_for_the_echo() -> None:
    field = b'{"model":"m","input":"hi","temperature":1.50,"tools":[ {"type":"function","name":"f"} ],"stream":true,"unknown":null}'
    request = DIALECT.decode_request(DIALECT.open_request(field), KEY)
    assert request.extra == {"temperature": msgspec.Raw(b"1.50"), "tools": msgspec.Raw(b'[ {"type":"function","name":"f"} ]')}


@pytest.mark.parametrize("field", ["previous_response_id", "conversation", "prompt"])
def test_stored_state_is_demanded(field: str) -> None:
    (demand,) = decoded(**{field: "x" if field != "prompt" else {"id": "x"}}).demands
    assert (demand.field, demand.carried_by) == (field, ("openai_responses",))


def test_the_message_names_the_setting_for_stored_responses() -> None:
    (demand,) = decoded(previous_response_id="resp_1").demands
    assert "PXBIN_RESPONSES_STORE_SECONDS" in demand.message


def test_background_is_demanded_only_when_it_is_true() -> None:
    assert [demand.field for demand in decoded(background=True).demands] == ["background"]
    assert decoded(background=False).demands == ()


def test_log_probabilities_are_demanded_of_openai_upstreams() -> None:
    request = decoded(include=["message.output_text.logprobs"], top_logprobs=3)
    assert (request.logprobs, request.top_logprobs) == (True, 3)
    assert request.demands == (
        Demand(
            field="include",
            message="include: this model's upstream reports no log probabilities",
            carried_by=("openai_chat", "openai_responses"),
        ),
    )


def test_references_to_stored_items_are_demanded() -> None:
    request = decoded(input=[{"type": "item_reference", "id": "msg_1"}, {"id": "rs_1"}])
    assert [(demand.field, demand.carried_by) for demand in request.demands] == [
        ("input.0", ("openai_responses",)),
        ("input.1", ("openai_responses",)),
    ]

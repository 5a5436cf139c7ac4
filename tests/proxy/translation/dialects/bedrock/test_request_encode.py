"""InvokeModel requests for upstreams: how they differ from Messages."""

import json

import msgspec
import pytest
from msgspec import Raw

from proxy.translation.canonical import Message, Opaque, Request, Text, Tool, ToolCall, ToolResult
from proxy.translation.dialects.bedrock.dialect import DIALECT
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks
from tests.proxy.translation.dialects.bedrock.samples import BODY, HI, KEY, encode_target, encoded, opened


class TestPath:
    @pytest.mark.parametrize(
        ("model", "stream", "path"),
        [
            ("anthropic.claude-x-v1:0", False, "/model/anthropic.claude-x-v1:0/invoke"),
            ("anthropic.claude-x-v1:0", True, "/model/anthropic.claude-x-v1:0/invoke-with-response-stream"),
            (
                "arn:aws:bedrock:eu-west-1:123:inference-profile/eu.anthropic.claude",
                False,
                "/model/arn:aws:bedrock:eu-west-1:123:inference-profile%2Feu.anthropic.claude/invoke",
            ),
            ("a b/../ü?#", False, "/model/a%20b%2F..%2F%C3%BC%3F%23/invoke"),
        ],
    )
    def test_the_path_contains_the_model_and_whether_to_stream(self, model: str, stream: bool, path: str) -> None:
        assert DIALECT.path(encode_target(model, stream=stream)) == path

    def test_the_envelope_gets_model_and_stream_from_the_path(self) -> None:
        envelope = opened()
        assert (envelope.model, envelope.stream, json.loads(msgspec.json.encode(envelope.fields))) == ("the-model", True, BODY)
        request = DIALECT.decode_request(envelope, KEY)
        assert request == Request(model="the-model", messages=(HI,), family="anthropic", max_tokens=5, stream=True)


def test_the_body_has_a_version_but_neither_model_nor_stream() -> None:
    assert encoded() == BODY


def test_betas_are_sent_if_the_quirk_allows_them() -> None:
    extra = DIALECT.decode_request(opened(anthropic_beta=["a-1", "b-2"]), KEY).extra
    assert "anthropic_beta" not in encoded(extra=extra)
    assert encoded(Quirks(beta_allow_list=("b-2", "c")), extra=extra)["anthropic_beta"] == ["b-2"]
    assert encoded(Quirks(beta_allow_list=("*",)), extra=extra)["anthropic_beta"] == ["a-1", "b-2"]


def test_betas_that_aws_documents_are_sent_by_default() -> None:
    betas = ["interleaved-thinking-2025-05-14", "context-1m-2025-08-07", "prompt-caching-scope-2026-01-05", "computer-use-2025-11-24"]
    extra = {"anthropic_beta": Raw(json.dumps(betas).encode())}
    assert encoded(extra=extra)["anthropic_beta"] == [betas[0], betas[1], betas[3]]
    assert encoded(Quirks(beta_allow_list=()), extra=extra) == BODY


def test_fields_that_need_a_beta_are_sent_only_with_it() -> None:
    extra = {
        "context_management": Raw(b'{"edits":[]}'),
        "anthropic_beta": Raw(b'["context-management-2025-06-27"]'),
        "speed": Raw(b'"fast"'),
    }
    assert "context_management" not in encoded(Quirks(beta_allow_list=()), extra=extra)
    body = encoded(Quirks(beta_allow_list=("context-management-2025-06-27",)), extra=extra)
    assert (body["context_management"], "speed" in body) == ({"edits": []}, False)


def test_fields_that_only_anthropics_endpoint_knows_are_left_out() -> None:
    extra = {"service_tier": Raw(b'"auto"'), "inference_geo": Raw(b'"eu"'), "cache_control": Raw(b'{"type":"ephemeral"}')}
    marked = {"type": "text", "text": "Hi", "cache_control": {"type": "ephemeral"}}
    assert encoded(extra=extra, service_tier="default") == BODY | {"messages": [{"role": "user", "content": [marked]}]}


def test_a_compaction_without_its_beta_is_refused() -> None:
    extra = {"compaction": Raw(b'{"type":"summarize"}')}
    with pytest.raises(ClientMistake) as caught:
        encoded(extra=extra)
    assert caught.value.failure.param == "compaction"
    body = encoded(extra=extra | {"anthropic_beta": Raw(b'["compact-2026-01-12"]')})
    assert body["compaction"] == {"type": "summarize"}


def test_deferred_tools_become_ordinary_ones_without_the_beta() -> None:
    reference = Opaque("anthropic", "tool_reference", Raw(b'{"type":"tool_reference","tool_name":"f"}'), "f", True)
    call, result = Message("assistant", (ToolCall("t", "Search", "{}"),)), Message("user", (ToolResult("t", (reference,)),))
    tools = (Tool(name="f", family="anthropic", native={"defer_loading": Raw(b"true")}),)
    plain = encoded(messages=(HI, call, result), tools=tools)
    assert (plain["tools"][0].keys(), plain["messages"][2]["content"][0]["content"]) == ({"name", "input_schema"}, "f")
    settings = {"messages": (HI, call, result), "tools": tools, "extra": {"anthropic_beta": Raw(b'["tool-search-tool-2025-10-19"]')}}
    rich = encoded(**settings)
    assert rich["tools"][0]["defer_loading"] is True
    assert rich["messages"][2]["content"][0]["content"] == [{"type": "tool_reference", "tool_name": "f"}]


def test_late_system_text_is_moved_to_the_system_field_unless_the_quirk_keeps_it() -> None:
    messages = (HI, Message("system", (Text("Late."),)), HI)
    assert encoded(messages=messages)["system"] == "Late."
    assert [turn["role"] for turn in encoded(Quirks(late_system_native=True), messages=messages)["messages"]] == ["user", "system", "user"]

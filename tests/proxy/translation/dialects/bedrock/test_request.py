"""InvokeModel requests: what differs from Messages."""

import json
from typing import Any

import msgspec
import pytest
from msgspec import Raw

from proxy.translation.canonical import Message, Opaque, Request, Seal, Text, Tool, ToolCall, ToolResult
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.bedrock.dialect import DIALECT, opener
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks
from proxy.translation.reasoning_seal import pack

KEY = b"a secret"
HI = Message("user", (Text("Hi"),))
BODY = {"anthropic_version": "bedrock-2023-05-31", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}


def destination(model: str = "anthropic.claude-x-v1:0", **settings: Any) -> EncodeTarget:
    return EncodeTarget(model=model, dialect="bedrock", **settings)


def encoded(quirks: Quirks | None = None, messages: tuple[Message, ...] = (HI,), **settings: Any) -> dict[str, Any]:
    asked = Request(**{"model": "m", "messages": messages, "family": "anthropic", "max_tokens": 5, **settings})
    return json.loads(DIALECT.encode_request(asked, destination(quirks=quirks or Quirks(), stream=True)))


def opened(**fields: Any) -> Any:
    return opener("the-model", stream=True)(json.dumps(BODY | fields).encode())


class TestThePath:
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
    def test_holds_the_model_and_the_way_to_answer(self, model: str, stream: bool, path: str) -> None:
        assert DIALECT.path(destination(model, stream=stream)) == path

    def test_gives_the_envelope_what_the_body_lacks(self) -> None:
        envelope = opened()
        assert (envelope.model, envelope.stream, json.loads(msgspec.json.encode(envelope.fields))) == ("the-model", True, BODY)
        request = DIALECT.decode_request(envelope, KEY)
        assert request == Request(model="the-model", messages=(HI,), family="anthropic", max_tokens=5, stream=True)


def test_a_body_without_a_model_is_opened() -> None:
    assert DIALECT.open_request(json.dumps(BODY).encode()).model == ""


@pytest.mark.parametrize(
    ("body", "param"),
    [(b"{}", "messages"), (b'{"messages":[]}', "messages"), (b'{"messages":[{"role":"x","content":""}]}', "messages.0.role"), (b"", None)],
)
def test_mistakes_are_found_on_the_way_in(body: bytes, param: str | None) -> None:
    with pytest.raises(ClientMistake) as caught:
        DIALECT.open_request(body)
    assert caught.value.failure.param == param


def test_betas_of_another_type_are_a_mistake() -> None:
    with pytest.raises(ClientMistake, match="anthropic_beta"):
        DIALECT.decode_request(opened(anthropic_beta="a,b"), KEY)


def test_the_body_names_its_version_and_neither_model_nor_stream() -> None:
    assert encoded() == BODY


def test_betas_go_up_where_they_are_allowed() -> None:
    extra = DIALECT.decode_request(opened(anthropic_beta=["a-1", "b-2"]), KEY).extra
    assert "anthropic_beta" not in encoded(extra=extra)
    assert encoded(Quirks(beta_allow_list=("b-2", "c")), extra=extra)["anthropic_beta"] == ["b-2"]


def test_fields_that_need_a_beta_go_with_it() -> None:
    extra = {
        "context_management": Raw(b'{"edits":[]}'),
        "anthropic_beta": Raw(b'["context-management-2025-06-27"]'),
        "speed": Raw(b'"fast"'),
    }
    assert "context_management" not in encoded(extra=extra)
    sent = encoded(Quirks(beta_allow_list=("context-management-2025-06-27",)), extra=extra)
    assert (sent["context_management"], "speed" in sent) == ({"edits": []}, False)


def test_what_only_anthropics_own_endpoint_knows_is_left_out() -> None:
    extra = {"service_tier": Raw(b'"auto"'), "inference_geo": Raw(b'"eu"'), "cache_control": Raw(b'{"type":"ephemeral"}')}
    assert encoded(extra=extra, service_tier="default") == BODY | {"cache_control": {"type": "ephemeral"}}


def test_deferred_tools_are_ordinary_ones_without_the_beta() -> None:
    reference = Opaque("anthropic", "tool_reference", Raw(b'{"type":"tool_reference","tool_name":"f"}'), "f", True)
    call, result = Message("assistant", (ToolCall("t", "Search", "{}"),)), Message("user", (ToolResult("t", (reference,)),))
    tools = (Tool(name="f", family="anthropic", native={"defer_loading": Raw(b"true")}),)
    plain = encoded(messages=(HI, call, result), tools=tools)
    assert (plain["tools"][0].keys(), plain["messages"][2]["content"][0]["content"]) == ({"name", "input_schema"}, "f")
    settings = {"messages": (HI, call, result), "tools": tools, "extra": {"anthropic_beta": Raw(b'["tools"]')}}
    rich = encoded(Quirks(beta_allow_list=("tools",)), **settings)
    assert rich["tools"][0]["defer_loading"] is True
    assert rich["messages"][2]["content"][0]["content"] == [{"type": "tool_reference", "tool_name": "f"}]


def test_late_system_text_leads_unless_the_model_takes_it_in_place() -> None:
    messages = (HI, Message("system", (Text("Late."),)), HI)
    assert encoded(messages=messages)["system"] == "Late."
    assert [turn["role"] for turn in encoded(Quirks(late_system_native=True), messages=messages)["messages"]] == ["user", "system", "user"]


class TestPatching:
    def patched(self, quirks: Quirks | None = None, **fields: Any) -> Any:
        return json.loads(DIALECT.patch_request(opened(**fields), destination(quirks=quirks or Quirks()), KEY))

    def test_the_body_stays_as_it_is(self) -> None:
        assert self.patched(unknown={"a": 1}, anthropic_beta=["a"]) == BODY | {"unknown": {"a": 1}, "anthropic_beta": ["a"]}

    def test_betas_are_narrowed_where_a_list_is_given(self) -> None:
        assert self.patched(Quirks(beta_allow_list=("a",)), anthropic_beta=["a", "b"])["anthropic_beta"] == ["a"]
        assert "anthropic_beta" not in self.patched(Quirks(beta_allow_list=()), anthropic_beta=["a", "b"])

    def test_carriers_are_taken_out(self) -> None:
        carrier = pack(Seal("openai_chat", ""), KEY)
        blocks = [{"type": "thinking", "thinking": "x", "signature": carrier}, {"type": "text", "text": "a"}]
        messages = [*BODY["messages"], {"role": "assistant", "content": blocks}]
        assert self.patched(messages=messages)["messages"][1]["content"] == [{"type": "text", "text": "a"}]

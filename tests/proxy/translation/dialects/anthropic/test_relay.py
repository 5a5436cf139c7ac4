"""Bodies and frames between clients and upstreams of this dialect, without translation."""

import json
from typing import Any

import pytest

from proxy.translation.canonical import (
    Seal,
)
from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.errors import ClientMistake, Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.reasoning_seal import pack
from tests.proxy.translation.dialects.anthropic.samples import (
    KEY,
    encode_target,
)


def body_with(*blocks: dict[str, Any], **settings: Any) -> bytes:
    messages = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": list(blocks)}, {"role": "user", "content": "Go on"}]
    return json.dumps({"model": "claude", "max_tokens": 9000, "messages": messages, **settings}).encode()


def patch(body: bytes, *, model: str = "claude", stream: bool = False) -> dict[str, Any]:
    patched = DIALECT.patch_request(DIALECT.open_request(body), encode_target(model, stream=stream), KEY)
    return json.loads(patched)


class TestPatchRequest:
    def test_only_the_name_of_the_model_changes(self) -> None:
        body = b'{"model":"alias","unknown":{"z":1.50,"a":[ ]},"max_tokens":1,"messages":[{"role":"user","content":"Hi","x":1}]}'
        patched = DIALECT.patch_request(DIALECT.open_request(body), encode_target("claude-x"), KEY)
        assert patched == body.replace(b'"alias"', b'"claude-x"')

    def test_stream_is_set_as_the_target_requires(self) -> None:
        assert patch(body_with({"type": "text", "text": "a"}), stream=True)["stream"] is True
        assert patch(body_with({"type": "text", "text": "a"}, stream=True))["stream"] is False

    def test_carriers_are_restored_or_removed_and_other_blocks_stay(self) -> None:
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
        assert patch(body_with(*blocks))["messages"][1]["content"] == [
            {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
            {"type": "redacted_thinking", "data": "xyz"},
            *rest,
        ]

    def test_a_message_that_consists_of_a_carrier_is_removed(self) -> None:
        foreign = pack(Seal("openai_chat", ""), KEY)
        patched = patch(body_with({"type": "thinking", "thinking": "Chat.", "signature": foreign}))
        assert [message["role"] for message in patched["messages"]] == ["user", "user"]

    @pytest.mark.parametrize(("thinking", "stays"), [({"type": "enabled", "budget_tokens": 1024}, False), ({"type": "adaptive"}, True)])
    def test_manual_thinking_is_removed_if_a_tool_loop_lost_its_thinking_block(self, thinking: dict[str, Any], stays: bool) -> None:
        foreign = pack(Seal("openai_chat", ""), KEY)
        blocks = (
            {"type": "thinking", "thinking": "Chat.", "signature": foreign},
            {"type": "tool_use", "id": "t", "name": "f", "input": {}},
        )
        assert ("thinking" in patch(body_with(*blocks, thinking=thinking))) is stays

    def test_opening_a_request_checks_the_roles_but_not_the_content(self) -> None:
        with pytest.raises(ClientMistake, match=r"messages\.1\.role"):
            DIALECT.open_request(b'{"model":"m","messages":[{"role":"user","content":1},{"role":"robot","content":""}]}')


class TestPatchResponse:
    def test_only_the_model_is_replaced(self) -> None:
        body = b'{"id":"msg_1","model":"claude-x-2026","content":[ {"x":1.50} ],"usage":{}}'
        assert DIALECT.patch_response(body, "claude") == body.replace(b"claude-x-2026", b"claude")

    @pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'{"error":{}}'])
    def test_bodies_without_a_model_stay_unchanged(self, body: bytes) -> None:
        assert DIALECT.patch_response(body, "claude") == body


class TestRelay:
    START = b'{"type":"message_start","message":{"id":"msg_1","model":"claude-x","usage":{"input_tokens":1}}}'

    def test_only_the_name_of_the_model_changes_in_message_start(self) -> None:
        passed = DIALECT.relay("claude", False)
        frame = Frame(self.START, "message_start")
        assert passed(frame) == Frame(self.START.replace(b"claude-x", b"claude"), "message_start")

    @pytest.mark.parametrize(
        "data",
        [
            b'{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"\\"message_start\\""}}',
            b'{"type":"ping","x":"message_start"}',
            b'"message_start',
            b'{"type":"message_start","message":{}}',
            b'{"type":"message_start"}',
            b"[DONE]",
        ],
    )
    def test_other_frames_stay_unchanged(self, data: bytes) -> None:
        frame = Frame(data, "any")
        assert DIALECT.relay("claude", True)(frame) is frame

    def test_without_a_new_name_frames_are_not_decoded(self) -> None:
        frame = Frame(self.START, "message_start")
        assert DIALECT.relay(None, False)(frame) is frame

    @pytest.mark.parametrize("name", [None, "claude"])
    def test_a_missing_event_line_is_added(self, name: str | None) -> None:
        pass_on = DIALECT.relay(name, False)
        assert pass_on(Frame(b'{"type":"ping"}')) == Frame(b'{"type":"ping"}', "ping")
        assert pass_on(Frame(b"no json")) == Frame(b"no json")

    def test_a_broken_relayed_stream_ends_with_an_error_event(self) -> None:
        assert DIALECT.break_off(Failure(kind="network", message="Gone"), 7) == [
            Frame(b'{"type":"error","error":{"type":"api_error","message":"Gone"}}', "error")
        ]


def test_the_keep_alive_is_a_ping_event() -> None:
    assert DIALECT.keepalive == b'event: ping\ndata: {"type":"ping"}\n\n'

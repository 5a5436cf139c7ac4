"""Response objects for Anthropic clients (tests/cases/anthropic covers decoding)."""

import json
from typing import Any

import pytest
from msgspec import Raw

from proxy.translation.canonical import (
    Citation,
    Finish,
    Image,
    Message,
    Opaque,
    Part,
    Reasoning,
    ReasoningSetting,
    Request,
    Response,
    Seal,
    Source,
    Text,
    ToolCall,
    Usage,
)
from proxy.translation.dialects.anthropic.dialect import DIALECT
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.reasoning_seal import pack

KEY = b"a secret"
ID = "0123456789abcdef01234567"
END = Finish()
OMITTED = ReasoningSetting(mode="adaptive", display="omitted")


def encode_context(reasoning: ReasoningSetting | None = None) -> EncodeContext:
    request = Request(model="claude", messages=(Message("user", (Text("Hi"),)),), family="anthropic", reasoning=reasoning)
    return EncodeContext(id=ID, created=0, model="claude", request=request, seal_key=KEY)


def encoded(*parts: Part, finish: Finish = END, usage: Usage | None = None, reasoning: ReasoningSetting | None = None) -> dict[str, Any]:
    response = Response(id="chatcmpl-1", model="gpt", parts=parts, finish=finish, usage=usage)
    return json.loads(DIALECT.encode_response(response, encode_context(reasoning)))


DIRECT = {"caller": {"type": "direct"}}


def test_a_whole_response() -> None:
    usage = Usage(fresh=1, cache_read=2, cache_write_5m=3, cache_write_1h=4, output=5, reasoning=6, service_tier="default")
    assert encoded(Text("Hi"), usage=usage) == {
        "id": f"msg_{ID}",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [{"type": "text", "text": "Hi", "citations": None}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
        "usage": {
            "input_tokens": 1,
            "output_tokens": 5,
            "cache_creation_input_tokens": 7,
            "cache_read_input_tokens": 2,
            "cache_creation": {"ephemeral_5m_input_tokens": 3, "ephemeral_1h_input_tokens": 4},
            "output_tokens_details": {"thinking_tokens": 6},
            "inference_geo": None,
            "server_tool_use": None,
            "service_tier": "standard",
        },
    }


def test_an_unknown_usage_is_encoded_as_zeros() -> None:
    assert {encoded(Text("Hi"))["usage"][name] for name in ("input_tokens", "output_tokens", "cache_read_input_tokens")} == {0}


@pytest.mark.parametrize(
    ("reason", "word"),
    [
        ("end", "end_turn"),
        ("stop_sequence", "stop_sequence"),
        ("tool_calls", "tool_use"),
        ("length", "max_tokens"),
        ("context_window", "model_context_window_exceeded"),
        ("refusal", "refusal"),
        ("pause", "pause_turn"),
        ("compaction", "compaction"),
    ],
)
def test_stop_reasons(reason: Any, word: str) -> None:
    assert encoded(finish=Finish(reason=reason))["stop_reason"] == word


def test_stop_sequence_and_details_are_encoded() -> None:
    details = {"type": "refusal", "category": None, "explanation": "No."}
    body = encoded(finish=Finish(reason="stop_sequence", stop_sequence="END", details=details))
    assert (body["stop_sequence"], body["stop_details"], body["content"]) == ("END", details, [])


@pytest.mark.parametrize(
    ("part", "block"),
    [
        (Text("No.", refusal=True), {"type": "text", "text": "No.", "citations": None}),
        (
            Text(
                "a",
                citations=(Citation(dialect="openai_chat", native=Raw(b"{}")), Citation(dialect="anthropic", native=Raw(b'{"type":"x"}'))),
            ),
            {"type": "text", "text": "a", "citations": [{"type": "x"}]},
        ),
        (ToolCall("call_1", "f", '{"a": 1}'), {"type": "tool_use", "id": "call_1", "name": "f", "input": {"a": 1}, **DIRECT}),
        (ToolCall("call_1", "f", ""), {"type": "tool_use", "id": "call_1", "name": "f", "input": {}, **DIRECT}),
        (
            ToolCall("call_1", "f", "{broken"),
            {"type": "tool_use", "id": "call_1", "name": "f", "input": {"_raw_arguments": "{broken"}, **DIRECT},
        ),
        (Opaque("anthropic", "server_tool_use", Raw(b'{"type":"server_tool_use"}')), {"type": "server_tool_use"}),
    ],
)
def test_parts(part: Part, block: dict[str, Any]) -> None:
    assert encoded(part)["content"] == [block]


@pytest.mark.parametrize(
    "part", [Text(""), Opaque("openai_responses", "web_search_call", Raw(b"{}"), "words"), Image(Source("url", "https://example.com/"))]
)
def test_parts_that_the_dialect_cannot_express_are_left_out(part: Part) -> None:
    assert encoded(part)["content"] == []


class TestCallIds:
    def ids(self, *call_ids: str) -> list[str]:
        return [block["id"] for block in encoded(*(ToolCall(call_id, "f", "{}") for call_id in call_ids))["content"]]

    def test_valid_ids_stay(self) -> None:
        assert self.ids("call_1", "functions-name_0", "a" * 64) == ["call_1", "functions-name_0", "a" * 64]

    def test_other_characters_are_escaped(self) -> None:
        assert self.ids("functions.name:0", "functions-name_0") == ["pxid-functions-2ename-3a0", "functions-name_0"]

    def test_missing_and_repeated_ids_are_derived_from_the_response_id(self) -> None:
        first, second = self.ids("", "")
        assert (first[:6], len(first), first != second) == ("toolu_", 30, True)
        assert self.ids("x", "x")[1] == second
        assert self.ids("a" * 65)[0] == first


class TestReasoning:
    CHAT = Seal("openai_chat", "")
    ITEM = Seal("openai_responses", "up-1", {"id": "rs_1", "encrypted_content": "enc"})

    @pytest.mark.parametrize(
        ("part", "block"),
        [
            (
                Reasoning("Hm.", Seal("anthropic", "anthropic", {"signature": "sig"})),
                {"type": "thinking", "thinking": "Hm.", "signature": "sig"},
            ),
            (Reasoning("", Seal("anthropic", "anthropic", {"signature": "sig"})), {"type": "thinking", "thinking": "", "signature": "sig"}),
            (Reasoning("", Seal("anthropic", "anthropic", {"redacted": "xyz"})), {"type": "redacted_thinking", "data": "xyz"}),
            (Reasoning("Hm.", CHAT), {"type": "thinking", "thinking": "Hm.", "signature": pack(CHAT, KEY)}),
            (Reasoning("Hm.", ITEM), {"type": "thinking", "thinking": "Hm.", "signature": pack(ITEM, KEY)}),
            (Reasoning("", ITEM), {"type": "redacted_thinking", "data": pack(ITEM, KEY)}),
            (Reasoning("Hm."), {"type": "thinking", "thinking": "Hm.", "signature": ""}),
        ],
    )
    def test_seals_travel_in_the_block(self, part: Reasoning, block: dict[str, Any]) -> None:
        assert encoded(part)["content"] == [block]

    @pytest.mark.parametrize("part", [Reasoning(""), Reasoning("", CHAT)])
    def test_reasoning_without_text_and_seal_gives_no_block(self, part: Reasoning) -> None:
        assert encoded(part)["content"] == []

    def test_withheld_text_travels_in_the_carrier(self) -> None:
        carrier = pack(Seal("openai_chat", "", {"text": "Hm."}), KEY)
        assert encoded(Reasoning("Hm.", self.CHAT), reasoning=OMITTED)["content"] == [
            {"type": "thinking", "thinking": "", "signature": carrier}
        ]

    def test_native_thinking_keeps_the_text_that_the_upstream_sent(self) -> None:
        part = Reasoning("Hm.", Seal("anthropic", "anthropic", {"signature": "sig"}))
        assert encoded(part, reasoning=OMITTED)["content"] == [{"type": "thinking", "thinking": "Hm.", "signature": "sig"}]

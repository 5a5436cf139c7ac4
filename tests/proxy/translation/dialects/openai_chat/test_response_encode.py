"""Whole responses for a Chat client."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from proxy.translation import reasoning_seal
from proxy.translation.canonical import Citation, Finish, Message, Part, Reasoning, Response, Seal, Text, ToolCall, Usage
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from tests.proxy.translation.dialects.openai_chat.samples import CONTEXT, KEY, LEGACY


def encoded_response(
    *parts: Part, context: EncodeContext = CONTEXT, finish: Finish | None = None, usage: Usage | None = None
) -> dict[str, Any]:
    return json.loads(DIALECT.encode_response(Response(id="up", model="up", parts=parts, finish=finish or Finish(), usage=usage), context))


def encoded_message(*parts: Part, **options: Any) -> dict[str, Any]:
    return encoded_response(*parts, **options)["choices"][0]["message"]


def test_a_whole_response() -> None:
    usage = Usage(fresh=5, cache_read=3, cache_write_5m=2, cache_write_1h=1, output=7, reasoning=4)
    assert encoded_response(Text("Hel"), Text("lo"), usage=usage) == {
        "id": "chatcmpl-0123456789abcdef01234567",
        "object": "chat.completion",
        "created": 1_800_000_000,
        "model": "claude",
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": "Hello", "refusal": None}, "logprobs": None, "finish_reason": "stop"}
        ],
        "usage": {
            "prompt_tokens": 11,
            "completion_tokens": 7,
            "total_tokens": 18,
            "prompt_tokens_details": {"cached_tokens": 3, "cache_write_tokens": 3},
            "completion_tokens_details": {"reasoning_tokens": 4},
        },
    }


def test_an_unknown_usage_is_zero_to_the_client() -> None:
    assert encoded_response()["usage"] == {
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "total_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_an_empty_response_has_null_content_and_no_calls() -> None:
    assert encoded_message() == {"role": "assistant", "content": None, "refusal": None}


@pytest.mark.parametrize(
    ("reason", "finish_reason"),
    [
        ("end", "stop"),
        ("stop_sequence", "stop"),
        ("tool_calls", "tool_calls"),
        ("length", "length"),
        ("context_window", "length"),
        ("refusal", "content_filter"),
        ("pause", "stop"),
        ("compaction", "stop"),
    ],
)
def test_each_finish_has_a_finish_reason(reason: Any, finish_reason: str) -> None:
    assert encoded_response(Text("x"), finish=Finish(reason=reason))["choices"][0]["finish_reason"] == finish_reason


def test_calls_count_from_zero_and_never_lack_an_id_or_arguments() -> None:
    encoded = encoded_message(
        Text("x"), ToolCall("toolu_1", "f", '{"a":1}'), ToolCall("", "g", ""), ToolCall("", "h", "{}"), finish=Finish(reason="tool_calls")
    )
    assert encoded["tool_calls"] == [
        {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "call_f0120d66e2572d51804d2a12", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        {"id": "call_e408ce92fcdf91f0af3635f4", "type": "function", "function": {"name": "h", "arguments": "{}"}},
    ]


def test_a_custom_call_keeps_its_kind() -> None:
    assert encoded_message(ToolCall("c", "p", "*** Begin", "custom"))["tool_calls"] == [
        {"id": "c", "type": "custom", "custom": {"name": "p", "input": "*** Begin"}}
    ]


def test_a_client_of_legacy_functions_reads_a_function_call() -> None:
    encoded = encoded_response(ToolCall("c", "f", "{}"), context=LEGACY, finish=Finish(reason="tool_calls"))["choices"][0]
    assert encoded["message"] == {"role": "assistant", "content": None, "refusal": None, "function_call": {"name": "f", "arguments": "{}"}}
    assert encoded["finish_reason"] == "function_call"


def test_reasoning_is_shown_and_its_state_travels_in_details() -> None:
    first, redacted = Seal("anthropic", "anthropic", {"signature": "s"}), Seal("anthropic", "anthropic", {"redacted": "r"})
    third = Seal("openai_responses", "up-1", {"id": "rs_1", "encrypted_content": "e"})
    encoded = encoded_message(Reasoning("one", first), Reasoning("", redacted), Reasoning("three", third), Text("x"))
    assert encoded["reasoning_content"] == "one\n\nthree"
    assert encoded["reasoning_details"] == [
        {"type": "reasoning.text", "text": "one", "signature": reasoning_seal.pack(first, KEY), "index": 0},
        {"type": "reasoning.encrypted", "data": reasoning_seal.pack(redacted, KEY), "index": 1},
        {"type": "reasoning.text", "text": "three", "signature": reasoning_seal.pack(third, KEY), "index": 2},
    ]


@pytest.mark.parametrize("seal", [None, Seal("openai_chat", "")])
def test_reasoning_without_state_has_no_details(seal: Seal | None) -> None:
    assert encoded_message(Reasoning("one", seal), Text("x")) == {
        "role": "assistant",
        "content": "x",
        "refusal": None,
        "reasoning_content": "one",
    }


def test_an_echoed_message_brings_the_reasoning_back() -> None:
    parts = (
        Reasoning("one", Seal("anthropic", "anthropic", {"signature": "s"})),
        Reasoning("", Seal("anthropic", "anthropic", {"redacted": "r"})),
        Text("x"),
        ToolCall("c", "f", "{}"),
    )
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}, encoded_message(*parts)]}
    request = DIALECT.decode_request(DIALECT.open_request(json.dumps(body).encode()), KEY)
    assert request.messages[1] == Message("assistant", parts)


def test_a_refusal_has_its_own_field_and_an_ordinary_stop() -> None:
    encoded = encoded_response(Text("I cannot.", refusal=True), finish=Finish(reason="refusal"))["choices"][0]
    assert (encoded["message"], encoded["finish_reason"]) == ({"role": "assistant", "content": None, "refusal": "I cannot."}, "stop")


def test_url_citations_are_annotations_and_others_are_not() -> None:
    native = {"type": "url_citation", "url_citation": {"url": "https://b", "title": "B", "start_index": 1, "end_index": 2}}
    encoded = encoded_message(
        Text("ab"),
        Text("cde", citations=(Citation(url="https://a", title="A"), Citation(cited_text="from a document"))),
        Text("fg", citations=(Citation(url="https://b", dialect="openai_chat", native=msgspec.Raw(json.dumps(native).encode())),)),
        Text("hij", citations=(Citation(url="https://c", start=1, end=3, dialect="openai_responses"),)),
    )
    assert encoded["annotations"] == [
        {"type": "url_citation", "url_citation": {"url": "https://a", "title": "A", "start_index": 2, "end_index": 5}},
        native,
        {"type": "url_citation", "url_citation": {"url": "https://c", "title": "", "start_index": 8, "end_index": 10}},
    ]


def test_log_probabilities_are_carried() -> None:
    encoded = encoded_response(Text("x", logprobs=({"token": "x"},)), Text("n", logprobs=({"token": "n"},), refusal=True))
    assert encoded["choices"][0]["logprobs"] == {"content": [{"token": "x"}], "refusal": [{"token": "n"}]}


@pytest.mark.parametrize(("tier", "expected"), [("standard", "default"), ("flex", "flex"), ("batch", None), (None, None)])
def test_service_tiers_are_mapped(tier: str | None, expected: str | None) -> None:
    assert encoded_response(Text("x"), usage=Usage(service_tier=tier)).get("service_tier") == expected

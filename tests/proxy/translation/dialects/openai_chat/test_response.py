"""Whole answers for chat clients, and what an upstream's 200 may hold instead of one."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from proxy.translation import reasoning_seal
from proxy.translation.canonical import Citation, Finish, Message, Part, Reasoning, Request, Response, Seal, Text, ToolCall, Usage
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.errors import UpstreamFailed
from proxy.translation.quirks import DEFAULT

KEY = b"a secret"
REQUEST = Request(model="m", messages=(Message("user", (Text("Hi"),)),), family="openai_chat")
REPLY = EncodeContext(id="0123456789abcdef01234567", created=1_800_000_000, model="claude", request=REQUEST, seal_key=KEY)
LEGACY = msgspec.structs.replace(REPLY, request=msgspec.structs.replace(REQUEST, extra={"functions": msgspec.Raw(b"[]")}))


def encoded(*parts: Part, reply: EncodeContext = REPLY, finish: Finish | None = None, usage: Usage | None = None) -> dict[str, Any]:
    return json.loads(DIALECT.encode_response(Response(id="up", model="up", parts=parts, finish=finish or Finish(), usage=usage), reply))


def message_of(*parts: Part, **given: Any) -> dict[str, Any]:
    return encoded(*parts, **given)["choices"][0]["message"]


def test_a_whole_answer() -> None:
    usage = Usage(fresh=5, cache_read=3, cache_write_5m=2, cache_write_1h=1, output=7, reasoning=4)
    assert encoded(Text("Hel"), Text("lo"), usage=usage) == {
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
    assert encoded()["usage"] == {
        "prompt_tokens": 0,
        "completion_tokens": 0,
        "total_tokens": 0,
        "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }


def test_an_empty_answer_has_null_content_and_no_calls() -> None:
    assert message_of() == {"role": "assistant", "content": None, "refusal": None}


@pytest.mark.parametrize(
    ("reason", "word"),
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
def test_every_finish_has_its_word(reason: Any, word: str) -> None:
    assert encoded(Text("x"), finish=Finish(reason=reason))["choices"][0]["finish_reason"] == word


def test_calls_count_from_zero_and_never_lack_an_id_or_arguments() -> None:
    told = message_of(
        Text("x"), ToolCall("toolu_1", "f", '{"a":1}'), ToolCall("", "g", ""), ToolCall("", "h", "{}"), finish=Finish(reason="tool_calls")
    )
    assert told["tool_calls"] == [
        {"id": "toolu_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}},
        {"id": "call_f0120d66e2572d51804d2a12", "type": "function", "function": {"name": "g", "arguments": "{}"}},
        {"id": "call_e408ce92fcdf91f0af3635f4", "type": "function", "function": {"name": "h", "arguments": "{}"}},
    ]


def test_a_custom_call_keeps_its_kind() -> None:
    assert message_of(ToolCall("c", "p", "*** Begin", "custom"))["tool_calls"] == [
        {"id": "c", "type": "custom", "custom": {"name": "p", "input": "*** Begin"}}
    ]


def test_a_client_of_legacy_functions_reads_a_function_call() -> None:
    told = encoded(ToolCall("c", "f", "{}"), reply=LEGACY, finish=Finish(reason="tool_calls"))["choices"][0]
    assert told["message"] == {"role": "assistant", "content": None, "refusal": None, "function_call": {"name": "f", "arguments": "{}"}}
    assert told["finish_reason"] == "function_call"


def test_reasoning_is_shown_and_its_state_travels_in_details() -> None:
    first, redacted = Seal("anthropic", "anthropic", {"signature": "s"}), Seal("anthropic", "anthropic", {"redacted": "r"})
    third = Seal("openai_responses", "up-1", {"id": "rs_1", "encrypted_content": "e"})
    told = message_of(Reasoning("one", first), Reasoning("", redacted), Reasoning("three", third), Text("x"))
    assert told["reasoning_content"] == "one\n\nthree"
    assert told["reasoning_details"] == [
        {"type": "reasoning.text", "text": "one", "signature": reasoning_seal.pack(first, KEY), "index": 0},
        {"type": "reasoning.encrypted", "data": reasoning_seal.pack(redacted, KEY), "index": 1},
        {"type": "reasoning.text", "text": "three", "signature": reasoning_seal.pack(third, KEY), "index": 2},
    ]


@pytest.mark.parametrize("seal", [None, Seal("openai_chat", "")])
def test_reasoning_without_state_has_no_details(seal: Seal | None) -> None:
    assert message_of(Reasoning("one", seal), Text("x")) == {
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
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}, message_of(*parts)]}
    request = DIALECT.decode_request(DIALECT.open_request(json.dumps(body).encode()), KEY)
    assert request.messages[1] == Message("assistant", parts)


def test_a_refusal_has_its_own_field_and_an_ordinary_stop() -> None:
    told = encoded(Text("I cannot.", refusal=True), finish=Finish(reason="refusal"))["choices"][0]
    assert (told["message"], told["finish_reason"]) == ({"role": "assistant", "content": None, "refusal": "I cannot."}, "stop")


def test_url_citations_are_annotations_and_others_are_not() -> None:
    native = {"type": "url_citation", "url_citation": {"url": "https://b", "title": "B", "start_index": 1, "end_index": 2}}
    told = message_of(
        Text("ab"),
        Text("cde", citations=(Citation(url="https://a", title="A"), Citation(cited_text="from a document"))),
        Text("fg", citations=(Citation(url="https://b", dialect="openai_chat", native=msgspec.Raw(json.dumps(native).encode())),)),
        Text("hij", citations=(Citation(url="https://c", start=1, end=3, dialect="openai_responses"),)),
    )
    assert told["annotations"] == [
        {"type": "url_citation", "url_citation": {"url": "https://a", "title": "A", "start_index": 2, "end_index": 5}},
        native,
        {"type": "url_citation", "url_citation": {"url": "https://c", "title": "", "start_index": 8, "end_index": 10}},
    ]


def test_log_probabilities_are_carried() -> None:
    told = encoded(Text("x", logprobs=({"token": "x"},)), Text("n", logprobs=({"token": "n"},), refusal=True))
    assert told["choices"][0]["logprobs"] == {"content": [{"token": "x"}], "refusal": [{"token": "n"}]}


@pytest.mark.parametrize(("tier", "shown"), [("standard", "default"), ("flex", "flex"), ("batch", None), (None, None)])
def test_the_service_tier_is_told_in_chats_words(tier: str | None, shown: str | None) -> None:
    assert encoded(Text("x"), usage=Usage(service_tier=tier)).get("service_tier") == shown


def test_only_the_model_of_an_answer_is_renamed() -> None:
    body = b'{"id":"x",  "model" : "gpt-\\"x", "choices":[{"message":{"content":"\\"model\\": \\"y\\""}}]}'
    assert DIALECT.patch_response(body, "mine") == (
        b'{"id":"x",  "model":"mine", "choices":[{"message":{"content":"\\"model\\": \\"y\\""}}]}'
    )
    nested = b'{"choices":[{"message":{"audio":{"model":"a"}}}],"model":"b"}'
    assert DIALECT.patch_response(nested, "mine") == b'{"choices":[{"message":{"audio":{"model":"a"}}}],"model":"mine"}'
    assert DIALECT.patch_response(b"<html>", "mine") == b"<html>"
    assert DIALECT.patch_response(b'{"model" "model"', "mine") == b'{"model" "model"'


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b'{"error":{"message":"Too busy","code":429}}', "Too busy"),
        (b'{"error":"broken"}', "broken"),
        (b'{"object":"error","message":"No such model","code":404}', "No such model"),
        (b'{"choices":[]}', "The upstream response has no choices."),
        (b'{"choices":[null]}', "The upstream response has no choices."),
        (b'{"choices":[{"message":null}]}', "The upstream response has no choices."),
        (b"{}", "The upstream response has no choices."),
        (b"<html>", "The upstream response cannot be decoded: JSON is malformed: invalid character (byte 0)"),
        (b"", "The upstream response cannot be decoded: Input data was truncated"),
        (b'{"choices":[{"message":{"content":3}}]}', None),
        (b"[" * 100_000, "The upstream response cannot be decoded: Expected `object`, got `array`"),
        (b'{"choices":' + b"[" * 100_000, None),
        (
            b'{"choices":[{"finish_reason":"error","error":{"message":"Provider died","code":502},"message":{"content":""}}]}',
            "Provider died",
        ),
    ],
)
def test_a_200_that_is_no_answer_is_a_bad_gateway(body: bytes, message: str | None) -> None:
    with pytest.raises(UpstreamFailed) as caught:
        DIALECT.decode_response(body, DEFAULT)
    assert caught.value.failure.kind == "bad_gateway"
    assert caught.value.answered
    if message is not None:
        assert caught.value.failure.message == message


def test_half_an_emoji_in_an_answer_is_replaced() -> None:
    body = b'{"choices":[{"message":{"content":"a\\ud83d"}}]}'
    assert DIALECT.decode_response(body, DEFAULT).parts == (Text("a\N{REPLACEMENT CHARACTER}"),)

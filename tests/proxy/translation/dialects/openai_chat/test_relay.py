"""Requests, responses and streams between a Chat client and a Chat upstream."""

from __future__ import annotations

import json

import pytest

from proxy.translation import reasoning_seal
from proxy.translation.canonical import (
    Seal,
)
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.errors import ClientMistake
from proxy.translation.framing.sse import Frame
from tests.proxy.translation.dialects.openai_chat.samples import KEY, open_request, target


def test_a_body_passes_through_with_the_upstreams_model() -> None:
    rest = b'"messages":[ {"role":"user","content":"\\u00fc","weird":1.50} ],"max_tokens":5,"x":{"b":1,"a":2}}'
    envelope = DIALECT.open_request(b'{"model":"m", ' + rest)
    assert DIALECT.patch_request(envelope, target(), KEY) == (
        b'{"model":"up","messages":[ {"role":"user","content":"\\u00fc","weird":1.50} ],"max_tokens":5,"x":{"b":1,"a":2}}'
    )


def test_a_stream_asks_for_usage_and_keeps_its_other_options() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True, "stream_options": {"include_obfuscation": False}}
    assert json.loads(DIALECT.patch_request(open_request(body), target(stream=True), KEY))["stream_options"] == {
        "include_obfuscation": False,
        "include_usage": True,
    }
    without = json.loads(DIALECT.patch_request(open_request(body), target(stream=True, stream_usage=False), KEY))
    assert without["stream_options"] == {"include_obfuscation": False}


def test_audio_in_another_servers_shape_passes_within_the_dialect() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": "UklGRg=="}]}]}
    assert json.loads(DIALECT.patch_request(open_request(body), target(), KEY))["messages"] == body["messages"]
    with pytest.raises(ClientMistake) as caught:
        DIALECT.decode_request(open_request(body), KEY)
    assert caught.value.failure.param == "messages.0.content.0.input_audio"


def test_carriers_are_removed_and_nothing_else() -> None:
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
    assert json.loads(DIALECT.patch_request(open_request(body), target(), KEY))["messages"] == [
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
    patched = json.loads(DIALECT.patch_request(open_request(body), target(requires_reasoning_content=requires), KEY))
    assert patched["messages"] == [{"role": "user", "content": "q"}, turn | left, result]


def test_only_the_model_of_a_response_is_renamed() -> None:
    body = b'{"id":"x",  "model" : "gpt-\\"x", "choices":[{"message":{"content":"\\"model\\": \\"y\\""}}]}'
    assert DIALECT.patch_response(body, "mine") == (
        b'{"id":"x",  "model":"mine", "choices":[{"message":{"content":"\\"model\\": \\"y\\""}}]}'
    )
    nested = b'{"choices":[{"message":{"audio":{"model":"a"}}}],"model":"b"}'
    assert DIALECT.patch_response(nested, "mine") == b'{"choices":[{"message":{"audio":{"model":"a"}}}],"model":"mine"}'
    assert DIALECT.patch_response(b"<html>", "mine") == b"<html>"
    assert DIALECT.patch_response(b'{"model" "model"', "mine") == b'{"model" "model"'


CHUNK = b'{"id":"x","model":"up","choices":[{"index":0,"delta":{"content":"the \\"model\\": \\"up\\""}}],"usage":null}'
USAGE = b'{"id":"x","model":"up","choices":[],"usage":{"prompt_tokens":1}}'
PRELUDE = b'{"id":"","model":"up","choices":[],"prompt_filter_results":[]}'


def test_a_relayed_chunk_is_renamed_and_otherwise_untouched() -> None:
    relay = DIALECT.relay("mine", False)
    assert relay(Frame(CHUNK)) == Frame(CHUNK.replace(b'"model":"up"', b'"model":"mine"'))
    assert relay(Frame(USAGE)) == Frame(USAGE.replace(b'"up"', b'"mine"'))
    assert relay(Frame(b"[DONE]")) == Frame(b"[DONE]")
    assert relay(Frame(b'{"error":{"message":"x"}}', "error")) == Frame(b'{"error":{"message":"x"}}', "error")


def test_nothing_is_changed_where_the_name_is_the_same() -> None:
    frame = Frame(CHUNK)
    assert DIALECT.relay(None, False)(frame) is frame


def test_only_an_unrequested_usage_chunk_is_dropped() -> None:
    relay = DIALECT.relay(None, True)
    assert relay(Frame(USAGE)) is None
    assert [relay(Frame(data)) for data in (CHUNK, PRELUDE, b"[DONE]")] == [Frame(CHUNK), Frame(PRELUDE), Frame(b"[DONE]")]
    both = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}'
    assert relay(Frame(both)) == Frame(both)

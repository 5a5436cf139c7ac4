"""Requests, responses and streams between a Chat client and a Chat upstream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.translation import reasoning_seal
from proxy.translation.canonical import (
    Seal,
)
from proxy.translation.dialects.base import EncodeContext, EncodeTarget
from proxy.translation.dialects.openai_chat.dialect import DIALECT
from proxy.translation.errors import ClientMistake
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import merged
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
    foreign_detail = {"type": "reasoning.text", "text": "z", "signature": "theirs"}
    mixed = {
        "role": "assistant",
        "content": carrier,
        "reasoning_content": "y",
        "reasoning_details": [{"type": "reasoning.encrypted", "data": carrier}, foreign_detail],
    }
    only_carrier = {
        "role": "assistant",
        "content": "x",
        "reasoning_details": [{"type": "reasoning.text", "text": "y", "signature": carrier}],
        "k": None,
    }
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}, mixed, only_carrier]}
    assert json.loads(DIALECT.patch_request(open_request(body), target(), KEY))["messages"] == [
        {"role": "user", "content": "q"},
        mixed | {"reasoning_details": [foreign_detail]},
        {"role": "assistant", "content": "x", "k": None},
    ]


@pytest.mark.parametrize(("requires", "remaining"), [(False, {}), (True, {"reasoning_content": ""})])
def test_the_text_of_sealed_reasoning_goes_to_no_other_provider(requires: bool, remaining: dict[str, str]) -> None:
    carrier = reasoning_seal.pack(Seal("anthropic", "anthropic", {"signature": "s"}), KEY)
    calls = [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]
    turn = {"role": "assistant", "content": None, "tool_calls": calls}
    sealed = {"reasoning_content": "y", "reasoning_details": [{"type": "reasoning.text", "text": "y", "signature": carrier, "index": 0}]}
    result = {"role": "tool", "tool_call_id": "c1", "content": "r"}
    body = {"model": "m", "messages": [{"role": "user", "content": "q"}, turn | sealed, result]}
    patched = json.loads(DIALECT.patch_request(open_request(body), target(requires_reasoning_content=requires), KEY))
    assert patched["messages"] == [{"role": "user", "content": "q"}, turn | remaining, result]


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
    finish_and_usage = b'{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":1}}'
    assert relay(Frame(finish_and_usage)) == Frame(finish_and_usage)


HISTORY = [
    {
        "role": "assistant",
        "content": None,
        "reasoning_content": "hm",
        "reasoning": "hm",
        "tool_calls": [{"id": "call_1", "type": "function"}],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "sunny"},
]


def relayed_messages(**quirks: Any) -> list[Any]:
    envelope = DIALECT.open_request(json.dumps({"model": "m", "messages": HISTORY}).encode())
    target = EncodeTarget(model="m", dialect="openai_chat", quirks=merged(quirks))
    return list(json.loads(DIALECT.patch_request(envelope, target, b"key"))["messages"])


def test_a_relayed_history_has_no_reasoning_for_an_upstream_that_refuses_it() -> None:
    without = {name: value for name, value in HISTORY[0].items() if not name.startswith("reasoning")}
    assert relayed_messages() == HISTORY
    assert relayed_messages(reasoning_history="omit") == [without, HISTORY[1]]


def test_a_relayed_history_has_ids_of_nine_characters_for_an_upstream_that_wants_them() -> None:
    assistant, result = relayed_messages(call_ids="nine_characters")
    call_id = assistant["tool_calls"][0]["id"]
    assert (len(call_id), call_id.isalnum(), result["tool_call_id"]) == (9, True, call_id)


def whole_body(finish: str, *call_ids: str) -> dict[str, Any]:
    calls = [{"id": call_id, "type": "function", "function": {"name": "f", "arguments": "{}"}} for call_id in call_ids]
    return {"id": "c", "choices": [{"index": 0, "message": {"content": None, "tool_calls": calls}, "finish_reason": finish}]}


def mend(body: dict[str, Any]) -> Any:
    raw = json.dumps(body).encode()
    request = DIALECT.decode_request(DIALECT.open_request(b'{"model": "m", "messages": [{"role": "user", "content": "hi"}]}'), b"key")
    context = EncodeContext(id="0123456789abcdef01234567", created=1, model="m", request=request, seal_key=b"key")
    assert DIALECT.mend_response is not None
    return json.loads(DIALECT.mend_response(raw, DIALECT.decode_response(raw, merged()), context))


def test_a_forwarded_response_gets_missing_call_ids_and_its_finish_reason() -> None:
    response = mend(whole_body("stop", "", "c2"))
    ids = [call["id"] for call in response["choices"][0]["message"]["tool_calls"]]
    assert response == whole_body("tool_calls", *ids)
    assert ids[0].startswith("call_")
    assert ids[1] == "c2"


def test_a_forwarded_response_without_mistakes_stays() -> None:
    assert mend(whole_body("tool_calls", "c1", "c2")) == whole_body("tool_calls", "c1", "c2")
    assert mend(whole_body("length", "c1")) == whole_body("length", "c1")

"""Requests, responses and streams between a Responses client and a Responses upstream."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.translation import reasoning_seal
from proxy.translation.canonical import Seal
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from tests.proxy.translation.dialects.openai_responses.samples import KEY, body, decoded, encoded, target

OWN = "openai_responses"
SEALED = {"id": "rs_1", "encrypted_content": "gAAA"}


def text(content: str) -> dict[str, Any]:
    return {"type": "input_text", "text": content}


def test_a_decoded_request_is_encoded_with_all_its_settings() -> None:
    original = {
        "store": True, "truncation": "auto", "max_tool_calls": 3, "client_metadata": {"a": 1}, "prompt_cache_options": {"ttl": "30m"},
        "reasoning": {"effort": "high", "context": "all_turns"}, "include": ["reasoning.encrypted_content", "web_search_call.results"],
        "tools": [{"type": "mcp", "server_label": "s"}, {"type": "function", "name": "f", "parameters": {}, "defer_loading": True}],
        "tool_choice": {"type": "mcp", "server_label": "s", "name": "t"}, "user": "u",
        "input": [
            {"type": "message", "role": "user", "content": [{**text("a"), "prompt_cache_breakpoint": {"mode": "explicit"}}]},
            {"type": "web_search_call", "id": "ws_1", "status": "completed"},
            {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c", "output": [text("1"), text("2")]},
            {"type": "telepathy", "n": 1},
        ],
    }  # fmt: skip
    body = encoded(decoded(**original))
    assert body == {"model": "up", **original, "safety_identifier": "u"}


def test_a_body_for_the_same_dialect_keeps_every_byte() -> None:
    original = b'{"input": [{"role":"user", "content":"hi"}], "unknown":{"a":1.0},  "model":"m","stream":true}'
    envelope = DIALECT.open_request(original)
    patched = DIALECT.patch_request(envelope, target(stream=True), KEY)
    assert patched == b'{"input":[{"role":"user", "content":"hi"}],"unknown":{"a":1.0},"model":"up","stream":true}'


def test_the_stream_switch_follows_the_target() -> None:
    envelope = DIALECT.open_request(body(stream=True, stream_options={"include_obfuscation": False}))
    assert json.loads(DIALECT.patch_request(envelope, target(), KEY)) == {"model": "up", "input": "hi"}
    assert json.loads(DIALECT.patch_request(DIALECT.open_request(body()), target(stream=True), KEY))["stream"] is True


def test_carriers_never_reach_an_upstream() -> None:
    foreign = reasoning_seal.pack(Seal("anthropic", "anthropic", {"signature": "s"}), KEY)
    elsewhere = reasoning_seal.pack(Seal(OWN, "up-2", SEALED), KEY)
    forged = reasoning_seal.pack(Seal(OWN, "up-1", SEALED), b"another key")
    own = reasoning_seal.pack(Seal(OWN, "up-1", SEALED), KEY)
    summary = [{"type": "summary_text", "text": "hm"}]
    items: list[Any] = [{"type": "reasoning", "id": f"rs_{index}", "summary": summary, "encrypted_content": encrypted_content}
                        for index, encrypted_content in enumerate((foreign, elsewhere, forged, own, "gAAA native"))]  # fmt: skip
    items.append({"role": "user", "content": "what is pxr1.abc?"})
    sent_input = json.loads(DIALECT.patch_request(DIALECT.open_request(body(input=items)), target(), KEY))["input"]
    assert sent_input == [{"type": "reasoning", **SEALED, "summary": summary}, items[4], items[5]]


def test_the_path() -> None:
    assert DIALECT.path(target()) == "/v1/responses"


def test_the_clients_model_name_is_all_that_changes_within_the_dialect() -> None:
    original = b'{"id":"resp_1", "model":"up","output":[ ],"x":1.0}'
    assert DIALECT.patch_response(original, "m") == b'{"id":"resp_1","model":"m","output":[ ],"x":1.0}'
    assert DIALECT.patch_response(b"<html>", "m") == b"<html>"
    assert DIALECT.patch_response(b"[1]", "m") == b"[1]"


def test_a_relayed_stream_that_breaks_ends_in_an_error_event() -> None:
    (frame,) = DIALECT.break_off(Failure(kind="network", message="gone"), 7)
    assert frame.event == "error"
    assert json.loads(frame.data) == {"type": "error", "code": "server_error", "message": "gone", "param": None, "sequence_number": 7}


def test_frames_are_relayed_under_the_clients_model_name() -> None:
    renamed = DIALECT.relay("m", False)
    created = Frame(b'{"type":"response.created","response":{"id":"r","model":"up","x":1.0},"sequence_number":0}', "response.created")
    delta = Frame(b'{"type":"response.output_text.delta","delta":"\\"response\\" model"}', "x")
    assert renamed(created).data == b'{"type":"response.created","response":{"id":"r","model":"m","x":1.0},"sequence_number":0}'  # type: ignore[union-attr]
    assert renamed(delta) is delta
    assert DIALECT.relay(None, True)(created) is created


@pytest.mark.parametrize("model", [None, "m"])
def test_an_event_line_that_the_server_left_out_is_added(model: str | None) -> None:
    relay = DIALECT.relay(model, False)
    for data in (b'{"type":"response.output_text.delta","delta":"x"}', b'{"type":"response.completed","response":{"model":"m"}}'):
        kind = json.loads(data)["type"]
        assert relay(Frame(data)) == Frame(data, kind)
    assert relay(Frame(b"[DONE]")) == Frame(b"[DONE]")

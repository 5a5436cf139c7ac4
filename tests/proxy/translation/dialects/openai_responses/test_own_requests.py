"""Requests of Responses clients on their way to Responses upstreams."""

from __future__ import annotations

import json
from typing import Any

from proxy.translation import reasoning_seal
from proxy.translation.canonical import Seal
from proxy.translation.dialects.openai_responses.dialect import DIALECT
from tests.proxy.translation.dialects.openai_responses.samples import KEY, body, decoded, destination, encoded

OWN = "openai_responses"
SEALED = {"id": "rs_1", "encrypted_content": "gAAA"}


def text(words: str) -> dict[str, Any]:
    return {"type": "input_text", "text": words}


def test_a_decoded_request_is_encoded_with_all_that_its_family_knows() -> None:
    given = {
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
    sent = encoded(decoded(**given))
    assert sent == {"model": "up", **given, "safety_identifier": "u"}


def test_a_body_for_the_same_dialect_keeps_every_byte() -> None:
    given = b'{"input": [{"role":"user", "content":"hi"}], "unknown":{"a":1.0},  "model":"m","stream":true}'
    envelope = DIALECT.open_request(given)
    sent = DIALECT.patch_request(envelope, destination(stream=True), KEY)
    assert sent == b'{"input":[{"role":"user", "content":"hi"}],"unknown":{"a":1.0},"model":"up","stream":true}'


def test_the_stream_switch_follows_the_destination() -> None:
    envelope = DIALECT.open_request(body(stream=True, stream_options={"include_obfuscation": False}))
    assert json.loads(DIALECT.patch_request(envelope, destination(), KEY)) == {"model": "up", "input": "hi"}
    assert json.loads(DIALECT.patch_request(DIALECT.open_request(body()), destination(stream=True), KEY))["stream"] is True


def test_carriers_never_reach_an_upstream() -> None:
    foreign = reasoning_seal.pack(Seal("anthropic", "anthropic", {"signature": "s"}), KEY)
    elsewhere = reasoning_seal.pack(Seal(OWN, "up-2", SEALED), KEY)
    forged = reasoning_seal.pack(Seal(OWN, "up-1", SEALED), b"another key")
    own = reasoning_seal.pack(Seal(OWN, "up-1", SEALED), KEY)
    summary = [{"type": "summary_text", "text": "hm"}]
    items: list[Any] = [{"type": "reasoning", "id": f"rs_{n}", "summary": summary, "encrypted_content": each}
                        for n, each in enumerate((foreign, elsewhere, forged, own, "gAAA native"))]  # fmt: skip
    items.append({"role": "user", "content": "what is pxr1.abc?"})
    sent = json.loads(DIALECT.patch_request(DIALECT.open_request(body(input=items)), destination(), KEY))["input"]
    assert sent == [{"type": "reasoning", **SEALED, "summary": summary}, items[4], items[5]]


def test_the_path() -> None:
    assert DIALECT.path(destination()) == "/v1/responses"

"""The round trip of reasoning: from the upstream that wrote it, through any client, back to that upstream and to no other.

The client is played by echoing what it was given, as its SDK does (wire formats, section 11).
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings

from proxy.translation.adaptation.adapt import adapt
from proxy.translation.canonical import Finish, Message, Reasoning, ReasoningSetting, Request, Response, Text, ToolCall, Usage
from proxy.translation.dialects.base import EncodeContext, EncodeTarget
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.reasoning_seal import PREFIX, bound_response
from tests.support.conversations import SEALS, word_texts
from tests.support.sizes import examples

KEY = b"the secret of the pairs"
TRIPS = [(origin, client, target) for origin in SEALS for client in REGISTRY for target in REGISTRY]
CALL = ToolCall("call_1", "look", '{"a":1}')
TOOL: dict[str, Any] = {"name": "look", "description": "Looks."}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def next_messages(answer: dict[str, Any]) -> dict[str, Any]:
    """What a Messages client sends next."""
    result = {"type": "tool_result", "tool_use_id": answer["content"][-1]["id"], "content": "seen"}
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": answer["content"]}, {"role": "user", "content": [result]}]
    return {"max_tokens": 9000, "messages": turns, "tools": [{**TOOL, "input_schema": SCHEMA}]}


def next_chat(answer: dict[str, Any]) -> dict[str, Any]:
    """What a chat client sends next."""
    message = answer["choices"][0]["message"]
    result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "seen"}
    return {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}, message, result],
        "tools": [{"type": "function", "function": {**TOOL, "parameters": SCHEMA}}],
    }


def next_responses(answer: dict[str, Any]) -> dict[str, Any]:
    """What a Responses client sends next."""
    result = {"type": "function_call_output", "call_id": answer["output"][-1]["call_id"], "output": "seen"}
    items = [{"role": "user", "content": "Hi"}, *answer["output"], result]
    return {"model": "m", "input": items, "store": False, "tools": [{**TOOL, "type": "function", "parameters": SCHEMA, "strict": False}]}


def next_contents(answer: dict[str, Any]) -> dict[str, Any]:
    """What a Gemini client sends next."""
    content = answer["candidates"][0]["content"]
    call = content["parts"][-1]["functionCall"]
    result = {"functionResponse": {"id": call["id"], "name": call["name"], "response": {"output": "seen"}}}
    contents = [{"role": "user", "parts": [{"text": "Hi"}]}, content, {"role": "user", "parts": [result]}]
    return {"contents": contents, "tools": [{"functionDeclarations": [{**TOOL, "parametersJsonSchema": SCHEMA}]}]}


def next_converse(answer: dict[str, Any]) -> dict[str, Any]:
    """What a Converse client sends next."""
    message = answer["output"]["message"]
    result = {"toolResult": {"toolUseId": message["content"][-1]["toolUse"]["toolUseId"], "content": [{"text": "seen"}]}}
    messages = [{"role": "user", "content": [{"text": "Hi"}]}, message, {"role": "user", "content": [result]}]
    return {"messages": messages, "toolConfig": {"tools": [{"toolSpec": {**TOOL, "inputSchema": {"json": SCHEMA}}}]}}


NEXT = {
    "bedrock_converse": next_converse,
    "gemini": next_contents,
    "anthropic": lambda answer: {"model": "m", **next_messages(answer)},
    "bedrock": lambda answer: {"anthropic_version": "bedrock-2023-05-31", **next_messages(answer)},
    "openai_chat": next_chat,
    "openai_responses": next_responses,
}


def echoed(client: str, answer: Response) -> Request:
    """The client's next request, read by the gateway."""
    sink = REGISTRY[client]
    shown = ReasoningSetting(mode="adaptive", display="summarized")
    request = Request(model="m", messages=(Message("user", (Text("Hi"),)),), family=sink.family, reasoning=shown)
    reply = EncodeContext(id="0123456789abcdef01234567", created=1, model="m", request=request, seal_key=KEY)
    body = json.dumps(NEXT[client](json.loads(sink.encode_response(answer, reply)))).encode()
    envelope = sink.open_for_model(body, "m")
    return sink.decode_request(envelope, KEY)


def encoded(request: Request, target: str, *, upstream: str = "up-1") -> bytes:
    encode_target = EncodeTarget(model="up", dialect=target, upstream=upstream)
    adapted = adapt(request, encode_target, family=REGISTRY[target].family, traits=REGISTRY[target].traits)
    return REGISTRY[target].encode_request(adapted.request, encode_target)


def thoughts(body: bytes, target: str) -> list[Any]:
    """The reasoning in a body, in the target's own shape."""
    sent_body = json.loads(body)
    if target == "openai_chat":
        return [message["reasoning_content"] for message in sent_body["messages"] if "reasoning_content" in message]
    if target == "openai_responses":
        return [(item["summary"], item["encrypted_content"]) for item in sent_body["input"] if item.get("type") == "reasoning"]
    if target == "gemini":
        parts = [part for content in sent_body["contents"] for part in content["parts"]]
        return [(part["text"], part.get("thoughtSignature")) for part in parts if part.get("thought")]
    if target == "bedrock_converse":
        contents = [block["reasoningContent"] for turn in sent_body["messages"] for block in turn["content"] if "reasoningContent" in block]
        return [(content["reasoningText"]["text"], content["reasoningText"]["signature"]) for content in contents]
    blocks = [block for turn in sent_body["messages"] if isinstance(turn["content"], list) for block in turn["content"]]
    return [(block["thinking"], block["signature"]) for block in blocks if block["type"] == "thinking"]


def due(origin: str, target: str, text: str) -> list[Any]:
    if REGISTRY[target].family != origin:
        return []
    if origin == "openai_chat":
        return [text]
    if origin == "openai_responses":
        return [([{"type": "summary_text", "text": text}], "c2VjcmV0")]
    return [(text, "c2lnbmVk")]


def reasoning_response(origin: str, text: str) -> Response:
    parts = (Reasoning(text, SEALS[origin]), CALL)
    answer = Response(id="x", model="up", parts=parts, finish=Finish(reason="tool_calls"), usage=Usage(output=1))
    return bound_response(answer, "up-1", "openai_responses")


@pytest.mark.parametrize(("origin", "client", "target"), TRIPS)
@given(text=word_texts)
@settings(max_examples=examples(10))
def test_reasoning_returns_to_its_origin_and_to_no_other(origin: str, client: str, target: str, text: str) -> None:
    body = encoded(echoed(client, reasoning_response(origin, text)), target)
    assert thoughts(body, target) == due(origin, target, text)
    assert PREFIX.encode() not in body
    if REGISTRY[target].family != origin:
        assert json.dumps(text)[1:-1].encode() not in body
        assert text.encode() not in body


@pytest.mark.parametrize("client", [name for name in REGISTRY if name != "openai_responses"])
def test_encrypted_reasoning_returns_to_no_other_account(client: str) -> None:
    request = echoed(client, reasoning_response("openai_responses", "deep thought"))
    assert thoughts(encoded(request, "openai_responses", upstream="up-2"), "openai_responses") == []

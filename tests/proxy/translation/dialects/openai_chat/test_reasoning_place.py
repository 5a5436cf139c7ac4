"""Interleaved reasoning of another vendor comes back from a Chat client in its order, from whole responses and from streams."""

from __future__ import annotations

import json
from typing import Any

import pytest

from proxy.translation.accumulate import replay
from proxy.translation.canonical import Finish, Part, Reasoning, Request, Response, Seal, Text, ToolCall
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_chat.dialect import DIALECT

KEY = b"the key of the places"


def thought(text: str, signature: str) -> Reasoning:
    return Reasoning(text, Seal("anthropic", "anthropic", {"signature": signature}))


CALLS = [ToolCall(f"call_{number}", "look", "{}") for number in range(3)]
TURNS: list[tuple[Part, ...]] = [
    (thought("a", "1"), CALLS[0], thought("b", "2"), CALLS[1]),
    (thought("a", "1"), Text("One."), CALLS[0], thought("b", "2"), Text("Two."), CALLS[1], CALLS[2]),
    (Text("One."), thought("", "1"), thought("b", "2"), Text("Two.")),
    (CALLS[0], CALLS[1], thought("b", "2")),
    (thought("a", "1"), Text("One."), CALLS[0]),
]


def context() -> EncodeContext:
    request = Request(model="m", messages=(), family="openai_chat")
    return EncodeContext(id="0" * 24, created=1, model="m", request=request, seal_key=KEY)


def whole_message(response: Response) -> dict[str, Any]:
    return dict(json.loads(DIALECT.encode_response(response, context()))["choices"][0]["message"])


def streamed_message(response: Response) -> dict[str, Any]:
    """The message that a client puts together from the deltas."""
    encoder = DIALECT.encoder(context())
    message: dict[str, Any] = {"role": "assistant", "content": "", "reasoning_details": [], "tool_calls": []}
    for event in replay(response):
        for frame in encoder.feed(event):
            delta = {} if frame.data == b"[DONE]" else json.loads(frame.data)["choices"][0]["delta"]
            message["content"] += delta.get("content") or ""
            message["reasoning_details"] += delta.get("reasoning_details", [])
            for call in delta.get("tool_calls", []):
                if "id" in call:
                    message["tool_calls"].append(call)
                else:
                    message["tool_calls"][call["index"]]["function"]["arguments"] += call["function"]["arguments"]
    return message


@pytest.mark.parametrize("message_of", [whole_message, streamed_message])
@pytest.mark.parametrize("parts", TURNS)
def test_reasoning_comes_back_in_its_order(parts: tuple[Part, ...], message_of: Any) -> None:
    message = message_of(Response(id="", model="", parts=parts, finish=Finish()))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}, message]}).encode()
    request = DIALECT.decode_request(DIALECT.open_request(body), KEY)
    assert request.messages[1].parts == parts


def test_content_that_the_client_has_changed_keeps_all_its_text() -> None:
    message = whole_message(Response(id="", model="", parts=(Text("A long text."), thought("a", "1"), Text("More.")), finish=Finish()))
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": "Hi"}, message | {"content": "Short"}]}).encode()
    request = DIALECT.decode_request(DIALECT.open_request(body), KEY)
    assert request.messages[1].parts == (Text("Short"), thought("a", "1"))

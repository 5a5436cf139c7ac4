"""Coding agents and the models behind them, played from recorded requests.

An :class:`Agent` sends a recorded request, reads the stream as the program does and sends the next one with the results of its
tools. :func:`model_of` makes a scripted upstream's behaviour: it calls the offered tools, then answers with text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from proxy.translation.accumulate import replay
from proxy.translation.canonical import Finish, FinishReason, Message, Part, Reasoning, Request, Response, Text, ToolCall, Usage
from proxy.translation.dialects.base import EncodeContext as Answered
from proxy.translation.dialects.registry import REGISTRY
from tests.support import grammar_anthropic, grammar_openai_responses
from tests.support.conversations import SEALS
from tests.support.fake_upstream import Received, Reply
from tests.support.gateway import Gateway

ROOT = Path(__file__).parent.parent / "cases" / "observed"
DIALECT_OF = {"/v1/messages": "anthropic", "/v1/responses": "openai_responses"}
_CARRIER = re.compile(rb"pxr1\.[\w-]+")
WRAPPED = ["input"]
LAST_WORDS = "All is done."
THOUGHT = "I shall use the tools."


# --- the model -------------------------------------------------------------------------------------------------------


def offered(body: dict[str, Any]) -> list[ToolCall]:
    """A call of each tool that an upstream's request offers, whatever its dialect."""
    items = body.get("input")
    late = [tool for item in items if item.get("type") == "additional_tools" for tool in item["tools"]] if isinstance(items, list) else []
    calls: list[ToolCall] = []
    for tool in [*body.get("tools", ()), *late]:
        if tool.get("type") == "namespace":
            calls += [_call({**inner, "namespace": tool["name"]}, len(calls) + number) for number, inner in enumerate(tool["tools"])]
        elif "name" in tool or "function" in tool:
            calls.append(_call(tool.get("function", tool), len(calls)))
    return calls


def _call(tool: dict[str, Any], number: int) -> ToolCall:
    schema = tool.get("input_schema") or tool.get("parameters") or {}
    if tool.get("type") == "custom" and "input_schema" not in tool:
        return ToolCall(f"call_{number}", tool["name"], "free text\n*** End", kind="custom", namespace=tool.get("namespace", ""))
    arguments = {"input": "free text\n*** End"} if list(schema.get("properties", ())) == WRAPPED else {"path": "a.txt", "n": [1, 2]}
    return ToolCall(f"call_{number}", tool["name"], json.dumps(arguments), namespace=tool.get("namespace", ""))


def model_of(dialect: str) -> Callable[[Received], Reply]:
    """What a scripted upstream of a dialect does: in its first turn it thinks and calls two tools, in its second it answers."""
    turns = 0

    def answer(received: Received) -> Reply:
        nonlocal turns
        turns += 1
        if turns == 1:
            calls = offered(received.json())
            parts = (
                Reasoning(THOUGHT, SEALS[REGISTRY[dialect].family]),
                *(calls[:1] + calls[-1:] if len(calls) > 1 else calls),
            )
            return streamed(dialect, response_of(*parts, finish="tool_calls"))
        return streamed(dialect, response_of(Text(LAST_WORDS), finish="end"))

    return answer


def response_of(*parts: Part, finish: FinishReason) -> Response:
    """An answer of these parts."""
    return Response(id="up-1", model="m", parts=parts, finish=Finish(reason=finish), usage=Usage(fresh=10, output=5))


def streamed(dialect: str, response: Response) -> Reply:
    """A whole stream of a dialect, frame by frame."""
    wire = REGISTRY[dialect]
    request = Request(model="m", messages=(Message("user", (Text("Hi"),)),), family=wire.family, stream=True, include_usage=True)
    encoder = wire.encoder(Answered(id="0123456789abcdef01234567", created=1, model="m", request=request, seal_key=b"theirs"))
    pieces_written = [wire.framing.write(frame) for event in replay(response) for frame in encoder.feed(event)]
    pieces = [_CARRIER.sub(b"c2VjcmV0", piece) for piece in pieces_written]  # a real upstream has state of its own
    return Reply(200, {"content-type": wire.framing.media_type}, pieces)


# --- the agents ------------------------------------------------------------------------------------------------------


class Agent:
    """One recorded request, going on from there. ``calls``: ids, names, namespaces and inputs of the calls that it was asked to make."""

    def __init__(self, name: str, gateway: Gateway, model: str) -> None:
        request = json.loads((ROOT / f"{name}.json").read_bytes())[0]
        self.dialect = DIALECT_OF[request["path"]]
        self.body = {**request["body"], "model": model, "stream": True}
        self._gateway = gateway
        self._path = request["path"]
        self.calls: list[tuple[str, str, str, Any]] = []
        self.text = ""
        self.thoughts = ""

    def turn(self) -> None:
        """Send the conversation, read the answer, and add it with the results of its calls."""
        answer = httpx.post(self._gateway.url + self._path, json=self.body, headers=self._gateway.client_headers, timeout=60)
        assert answer.status_code == 200, answer.text
        self.calls, self.text = [], ""
        if self.dialect == "anthropic":
            self._read_message(grammar_anthropic.message_of(grammar_anthropic.check(answer.content)))
        else:
            self._read_items(grammar_openai_responses.check(answer.content))

    def _read_message(self, message: dict[str, Any]) -> None:
        content = message["content"]
        self.text = "".join(block["text"] for block in content if block["type"] == "text")
        self.thoughts += "".join(block["thinking"] for block in content if block["type"] == "thinking")
        self.calls = [(block["id"], block["name"], "", block["input"]) for block in content if block["type"] == "tool_use"]
        assert message["stop_reason"] == ("tool_use" if self.calls else "end_turn")
        results = [{"type": "tool_result", "tool_use_id": call[0], "content": f"result of {call[0]}"} for call in self.calls]
        self.body["messages"] = [*self.body["messages"], {"role": "assistant", "content": content}, {"role": "user", "content": results}]

    def _read_items(self, events: list[dict[str, Any]]) -> None:
        assert events[-1]["type"] == "response.completed"
        items = [event["item"] for event in events if event["type"] == "response.output_item.done"]
        results = []
        for item in items:
            if item["type"] == "message":
                self.text += "".join(part["text"] for part in item["content"])
            elif item["type"] == "reasoning":
                self.thoughts += "".join(part["text"] for part in item["summary"])
            else:
                arguments = item["input"] if item["type"] == "custom_tool_call" else json.loads(item["arguments"])
                self.calls.append((item["call_id"], item["name"], item.get("namespace") or "", arguments))
                results.append({"type": f"{item['type']}_output", "call_id": item["call_id"], "output": f"result of {item['call_id']}"})
        self.body["input"] = [*self.body["input"], *items, *results]

"""Plays the client and the providers of a conversation that brings sealed things back."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.fake_upstream import Loop
from tests.support.gateway import Gateway
from tests.support.vendor_wires import Call
from tests.support.vendors import Vendor

TARGETS = {
    "anthropic": "anthropic",
    "openai_chat": "openai_chat",
    "openai_responses": "openai_responses",
    "openai_responses-2": "openai_responses",
    "bedrock": "bedrock",
}
"""The upstreams of the database by name, with the dialects that they speak; the model `seal-<name>` leads there."""
CALL = Call("call_1", "look", '{"a":1}')
TOOL = {"name": "look", "description": "Looks."}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}
PATHS = {"anthropic": "/v1/messages", "openai_chat": "/v1/chat/completions", "openai_responses": "/v1/responses"}
SENT_BACK = ("role", "content", "tool_calls", "reasoning_content", "reasoning_details")
"""What a client of Chat Completions repeats of an answer."""
CONVERSATION = ("system", "messages", "instructions", "input")


def first(client: str) -> dict[str, Any]:
    """A client's first request, without its model."""
    turn = {"role": "user", "content": "Hi"}
    if client == "openai_responses":
        tool = {**TOOL, "type": "function", "parameters": SCHEMA, "strict": False}
        return {"input": [turn], "store": False, "tools": [tool]}
    if client == "openai_chat":
        return {"messages": [turn], "tools": [{"type": "function", "function": {**TOOL, "parameters": SCHEMA}}]}
    version = {"anthropic_version": "bedrock-2023-05-31"} if client == "bedrock" else {}
    return {**version, "max_tokens": 9000, "messages": [turn], "tools": [{**TOOL, "input_schema": SCHEMA}]}


def following(client: str, answer: dict[str, Any]) -> dict[str, Any]:
    """The client's second request: it gives back what it got, and the result of its tool."""
    first_request = first(client)
    if client == "openai_responses":
        result = {"type": "function_call_output", "call_id": answer["output"][-1]["call_id"], "output": "seen"}
        return {**first_request, "input": [*first_request["input"], *answer["output"], result]}
    if client == "openai_chat":
        message = {name: value for name, value in answer["choices"][0]["message"].items() if name in SENT_BACK}
        result = {"role": "tool", "tool_call_id": message["tool_calls"][0]["id"], "content": "seen"}
        return {**first_request, "messages": [*first_request["messages"], message, result]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": answer["content"][-1]["id"], "content": "seen"}]}
    return {**first_request, "messages": [*first_request["messages"], {"role": "assistant", "content": answer["content"]}, result]}


def path_of(client: str, target: str, request: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Where a client's request goes for the model of an upstream, and its body."""
    if client == "bedrock":
        return f"/model/seal-{target}/invoke", request
    return PATHS[client], {"model": f"seal-{target}", **request}


def conversation(body: dict[str, Any]) -> dict[str, Any]:
    """The part of an upstream's request in which seals travel."""
    return {name: body[name] for name in CONVERSATION if name in body}


@contextmanager
def vendors_at(gateway: Gateway, loop: Loop) -> Iterator[dict[str, Vendor]]:
    """A provider for each upstream of :data:`TARGETS`, and the database's rows led there."""
    ids = {row["name"]: row["id"] for row in gateway.api("GET", "/upstreams")}
    vendors = {name: Vendor(dialect, loop) for name, dialect in TARGETS.items()}
    for name, vendor in vendors.items():
        gateway.api("PATCH", f"/upstreams/{ids[name]}", json={"base_url": vendor.fake.url})
    yield vendors
    for vendor in vendors.values():
        vendor.fake.stop()

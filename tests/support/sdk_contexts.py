"""Valid conversations around sample values: a tool result needs its call, a forced tool its definition."""

from __future__ import annotations

from typing import Any

HI = "Hi"
SCHEMA = {"type": "object", "properties": {}}
_ASSISTANT_BLOCKS = frozenset({"thinking", "redacted_thinking", "tool_use", "server_tool_use", "mcp_tool_use", "compaction", "fallback"})


# --- Messages ----------------------------------------------------------------------------------------------------------


def complete_messages(body: dict[str, Any]) -> dict[str, Any]:
    body = {"model": "m", "max_tokens": 50_000, **body}
    messages: list[dict[str, Any]] = [{"role": "user", "content": HI}]
    for message in body.get("messages", ()):
        messages += _messages_around(message)
    body["messages"] = messages
    if "tool_choice" in body and "tools" not in body:
        body["tools"] = [{"name": body["tool_choice"].get("name", "f"), "input_schema": SCHEMA}]
    return body


def complete_invocation(body: dict[str, Any]) -> dict[str, Any]:
    """A Messages body as Bedrock takes it: its model is in the path."""
    return {name: value for name, value in complete_messages(body).items() if name != "model"}


def _messages_around(message: dict[str, Any]) -> list[dict[str, Any]]:
    blocks = message["content"] if isinstance(message.get("content"), list) else []
    kinds = {block["type"] for block in blocks}
    if kinds & _ASSISTANT_BLOCKS or any(kind.endswith("_tool_result") for kind in kinds):
        message = {**message, "role": "assistant"}
    before: list[dict[str, Any]] = []
    after: list[dict[str, Any]] = [{"role": "user", "content": "Go on"}]
    for block in blocks:
        if block["type"] == "tool_result":
            before.append({"role": "assistant", "content": [{"type": "tool_use", "id": block["tool_use_id"], "name": "f", "input": {}}]})
        if block["type"] == "tool_use":
            after = [{"role": "user", "content": [{"type": "tool_result", "tool_use_id": block["id"], "content": "done"}]}]
    return [*before, message, *after]


# --- Chat --------------------------------------------------------------------------------------------------------------


def complete_chat(body: dict[str, Any]) -> dict[str, Any]:
    body = {"model": "m", "messages": [], **body}
    messages: list[dict[str, Any]] = [{"role": "user", "content": HI}] if body["messages"][:1] == [] else []
    for message in body["messages"]:
        messages += _chat_around(message)
    body["messages"] = messages
    if {"tool_choice", "parallel_tool_calls", "function_call"} & body.keys() and not {"tools", "functions"} & body.keys():
        body["tools"] = _chat_tools(body.get("tool_choice", body.get("function_call")))
    return body


def _chat_around(message: dict[str, Any]) -> list[dict[str, Any]]:
    hi: dict[str, Any] = {"role": "user", "content": HI}
    if message["role"] == "tool":
        call = {"id": message.get("tool_call_id"), "type": "function", "function": {"name": "f", "arguments": "{}"}}
        return [hi, {"role": "assistant", "tool_calls": [call]}, message]
    if message["role"] == "function":
        return [hi, {"role": "assistant", "function_call": {"name": message.get("name"), "arguments": "{}"}}, message]
    if message["role"] == "assistant":
        if message.keys() <= {"role", "name"}:
            message = {**message, "content": "Yes"}
        results = [{"role": "tool", "tool_call_id": call["id"], "content": "done"} for call in message.get("tool_calls", ())]
        return [hi, message, *results, {"role": "user", "content": "Go on"}]
    return [message, hi]


def _chat_tools(choice: Any) -> list[dict[str, Any]]:
    named = choice if isinstance(choice, dict) else {}
    if "custom" in named:
        return [{"type": "custom", "custom": {"name": named["custom"]["name"]}}]
    name = (named.get("function") or named).get("name", "f")
    return [{"type": "function", "function": {"name": name, "parameters": SCHEMA}}]


# --- Responses ---------------------------------------------------------------------------------------------------------


def complete_responses(body: dict[str, Any]) -> dict[str, Any]:
    body = {"model": "m", "input": [], **body}
    if isinstance(body["input"], list):
        items: list[dict[str, Any]] = [{"role": "user", "content": HI}]
        for item in body["input"]:
            items += _items_around(item)
        body["input"] = items
    if {"tool_choice", "parallel_tool_calls"} & body.keys() and "tools" not in body:
        choice = body.get("tool_choice")
        body["tools"] = [_tool_of(choice) if isinstance(choice, dict) else {"type": "function", "name": "f", "parameters": SCHEMA}]
    return body


def _items_around(item: dict[str, Any]) -> list[dict[str, Any]]:
    kind, go_on = item.get("type", "message"), {"role": "user", "content": "Go on"}
    call = {"type": "function_call", "call_id": item.get("call_id"), "name": "f", "arguments": "{}"}
    if kind == "function_call_output":
        return [call, item]
    if kind == "custom_tool_call_output":
        return [{"type": "custom_tool_call", "call_id": item.get("call_id"), "name": "f", "input": "x"}, item]
    if kind == "reasoning":
        return [item, {"role": "assistant", "content": "Yes"}, go_on]
    if kind in ("function_call", "custom_tool_call"):
        return [item, {"type": f"{kind}_output", "call_id": item.get("call_id"), "output": "done"}, go_on]
    return [item, go_on]


def _tool_of(choice: dict[str, Any]) -> dict[str, Any]:
    if choice["type"] not in ("function", "custom", "allowed_tools"):
        return {"type": choice["type"]}
    kind = "custom" if choice["type"] == "custom" else "function"
    return {"type": kind, "name": choice.get("name", "f"), **({"parameters": SCHEMA} if kind == "function" else {})}

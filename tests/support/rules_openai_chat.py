"""What the real Chat Completions API answers with 400 (wire formats, sections 2.3 and 15).

``check_request(body)`` fails with a sentence for a request that a strict server would refuse.
"""

from __future__ import annotations

import json
import re
from typing import Any

FIELDS = {
    "model", "messages", "max_completion_tokens", "max_tokens", "stop", "temperature", "top_p", "frequency_penalty", "presence_penalty",
    "logit_bias", "seed", "n", "logprobs", "top_logprobs", "tools", "tool_choice", "parallel_tool_calls", "response_format",
    "reasoning_effort", "stream", "stream_options", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "service_tier", "store", "metadata", "modalities", "audio", "prediction", "verbosity",
    "web_search_options", "moderation",
}  # fmt: skip
MESSAGE_FIELDS = {
    "system": {"role", "content", "name"},
    "developer": {"role", "content", "name"},
    "user": {"role", "content", "name"},
    "assistant": {"role", "content", "name", "tool_calls", "refusal", "reasoning_content"},
    "tool": {"role", "content", "tool_call_id"},
}
PARTS = {"text": {"text"}, "image_url": {"image_url"}, "input_audio": {"input_audio"}, "file": {"file"}}
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def check_request(body: dict[str, Any], *, tool_images: bool = False) -> None:
    """Check a whole request body."""
    assert set(body) <= FIELDS, f"foreign fields: {set(body) - FIELDS}"
    assert not {"max_tokens", "max_completion_tokens"} <= set(body), "both limits"
    assert len(body.get("stop", ())) <= 4, "more than four stop sequences"
    assert len(body.get("user", "")) <= 64, "user is too long"
    assert "stream_options" not in body or body.get("stream") is True, "stream_options without stream"
    assert 0 <= body.get("temperature", 1) <= 2, "temperature out of range"
    _check_tools(body)
    schema = body.get("response_format", {}).get("json_schema")
    assert schema is None or NAME.fullmatch(schema["name"]), "the schema's name is missing or illegal"
    check_messages(body["messages"], tool_images=tool_images)


def _check_tools(body: dict[str, Any]) -> None:
    tools = body.get("tools")
    if tools is None:
        assert not {"tool_choice", "parallel_tool_calls"} & set(body), "a choice without tools"
        return
    assert tools, "an empty list of tools"
    for tool in tools:
        assert NAME.fullmatch(tool[tool["type"]]["name"]), f"illegal tool name {tool}"
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] == "function":
        names = [tool["function"]["name"] for tool in tools if tool["type"] == "function"]
        assert choice["function"]["name"] in names, "the chosen tool is not there"


def check_messages(messages: list[dict[str, Any]], *, tool_images: bool = False) -> None:
    """Check the messages: their fields, their parts, and that every call is answered right behind it."""
    assert messages, "no messages"
    open_ids: set[str] = set()
    for message in messages:
        role = message["role"]
        assert set(message) <= MESSAGE_FIELDS[role], f"foreign fields in {role}: {set(message) - MESSAGE_FIELDS[role]}"
        if role == "tool":
            assert message["tool_call_id"] in open_ids, "a result without its call, or a second one"
            open_ids.remove(message["tool_call_id"])
        else:
            assert not open_ids, f"{role} stands between calls and their results"
        if role == "assistant":
            open_ids = _check_assistant(message)
        else:
            assert message["content"] is not None, f"{role} without content"
            _check_content(role, message["content"], tool_images=tool_images)
    assert not open_ids, "calls without results at the end"


def _check_assistant(message: dict[str, Any]) -> set[str]:
    calls = message.get("tool_calls")
    assert calls is None or calls, "an empty list of calls"
    assert calls or message["content"] or message.get("refusal"), "an assistant message that says nothing"
    if message["content"] is not None:
        _check_content("assistant", message["content"], tool_images=False)
    ids = [call["id"] for call in calls or ()]
    assert all(ids), "a call without an id"
    assert len(set(ids)) == len(ids), "an id twice in a turn"
    for call in calls or ():
        assert NAME.fullmatch(call[call["type"]]["name"]), "an illegal name of a call"
        if call["type"] == "function":
            json.loads(call["function"]["arguments"])
    return set(ids)


def _check_content(role: str, content: Any, *, tool_images: bool) -> None:
    if isinstance(content, str):
        return
    assert content, f"an empty list of parts in {role}"
    for part in content:
        assert part["type"] in PARTS, f"a part that chat does not have: {part['type']}"
        assert set(part) <= {"type", "prompt_cache_breakpoint", "cache_control"} | PARTS[part["type"]], f"foreign fields in {part}"
        allowed = role == "user" or part["type"] == "text" or (tool_images and role == "tool" and part["type"] == "image_url")
        assert allowed, f"{part['type']} in {role}"

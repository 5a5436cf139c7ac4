"""What the real Responses API answers with 400 (wire formats, sections 3.2, 3.3 and 15).

``check_request(body)`` fails with a sentence for a request that the API would refuse.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any

FIELDS = {
    "model", "input", "instructions", "max_output_tokens", "tools", "tool_choice", "parallel_tool_calls", "max_tool_calls", "text",
    "reasoning", "include", "store", "previous_response_id", "conversation", "background", "prompt", "truncation", "context_management",
    "temperature", "top_p", "top_logprobs", "service_tier", "user", "safety_identifier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "metadata", "stream", "stream_options", "client_metadata",
}  # fmt: skip
ITEM_FIELDS = {
    "message": {"role", "content", "id", "status", "phase"},
    "function_call": {"call_id", "name", "arguments", "id", "status", "namespace"},
    "function_call_output": {"call_id", "output", "id", "status"},
    "custom_tool_call": {"call_id", "name", "input", "id", "status", "namespace"},
    "custom_tool_call_output": {"call_id", "output", "id", "status"},
    "reasoning": {"id", "summary", "content", "encrypted_content", "status"},
}
INPUT_PARTS = {
    "input_text": {"text"},
    "input_image": {"image_url", "file_id", "detail"},
    "input_file": {"file_data", "file_id", "file_url", "filename", "detail"},
    "input_audio": {"input_audio"},
}
OUTPUT_PARTS = {"output_text": {"text", "annotations", "logprobs"}, "refusal": {"refusal"}}
CALLS = {"function_call": "function_call_output", "custom_tool_call": "custom_tool_call_output"}
NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")

Json = dict[str, Any]


def check_request(body: Json) -> None:
    """Check a whole request body."""
    assert set(body) <= FIELDS, f"foreign fields: {set(body) - FIELDS}"
    assert body.get("max_output_tokens", 16) >= 16, "max_output_tokens is below 16"
    assert 0 <= body.get("temperature", 1) <= 2, "temperature out of range"
    assert len(body.get("safety_identifier", "")) <= 128, "safety_identifier is too long"
    assert set(body.get("stream_options", ())) <= {"include_obfuscation"}, "stream_options has no include_usage"
    _check_tools(body)
    _check_format(body.get("text", {}).get("format", {"type": "text"}))
    if isinstance(body["input"], str):
        return
    assert body["input"], "no input"
    _check_items(body["input"])


def _check_format(shape: Json) -> None:
    assert shape["type"] in ("text", "json_object", "json_schema"), f"a format of type {shape['type']}"
    if shape["type"] == "json_schema":
        assert NAME.fullmatch(shape["name"]), "the schema's name is missing or illegal"
        assert isinstance(shape["schema"], dict), "the schema is flat in the format"


def _check_tools(body: Json) -> None:
    tools = body.get("tools")
    assert tools is None or tools, "an empty list of tools"
    if tools is None:
        assert not {"tool_choice", "parallel_tool_calls"} & set(body), "a choice without tools"
        return
    functions = [tool for tool in _flat(tools) if tool["type"] == "function"]
    for tool in functions:
        assert NAME.fullmatch(tool["name"]), f"illegal tool name {tool['name']!r}"
        assert "strict" in tool, "a function that does not say whether it is strict"
        assert "parameters" in tool, "a function without parameters"
        assert set(tool) <= {"type", "name", "description", "parameters", "strict", "defer_loading", "allowed_callers", "output_schema"}
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice["type"] in ("function", "custom"):
        assert choice["name"] in [tool.get("name") for tool in _flat(tools)], "the chosen tool is not there"


def _flat(tools: Iterable[Json]) -> list[Json]:
    return [inner for tool in tools for inner in (_flat(tool["tools"]) if tool["type"] == "namespace" else [tool])]


def _check_items(items: list[Json]) -> None:
    open_calls: dict[str, str] = {}
    call_ids: set[str] = set()
    for position, item in enumerate(items):
        kind = item.get("type", "message")
        assert kind in ITEM_FIELDS, f"an item of type {kind}"
        assert set(item) <= ITEM_FIELDS[kind] | {"type"}, f"foreign fields in a {kind}: {set(item) - ITEM_FIELDS[kind]}"
        if kind == "message":
            _check_message(item)
        elif kind in CALLS:
            assert item["call_id"] not in call_ids, "a call id twice"
            call_ids.add(item["call_id"])
            open_calls[item["call_id"]] = CALLS[kind]
            _check_call(item, kind)
        elif kind == "reasoning":
            assert isinstance(item["summary"], list), "a reasoning item without its summary"
            assert not str(item.get("encrypted_content", "")).startswith("pxr1."), "one of our carriers at an upstream"
            follower = items[position + 1].get("type", "message") if position + 1 < len(items) else None
            assert follower in ("reasoning", "message", *CALLS), "a reasoning item without the item it led to"
        else:
            assert open_calls.pop(item["call_id"], None) == kind, f"an output for {item['call_id']!r}, which is no open call of its kind"
            _check_output(item["output"])
    assert not open_calls, f"calls without outputs: {sorted(open_calls)}"


def _check_call(item: Json, kind: str) -> None:
    assert "id" not in item or item["id"].startswith("fc" if kind == "function_call" else "ctc"), "an id of another kind"
    assert NAME.fullmatch(item["name"]), f"an illegal name of a call: {item['name']!r}"
    if kind == "function_call":
        json.loads(item["arguments"])


def _check_message(item: Json) -> None:
    role, content = item["role"], item["content"]
    assert role in ("user", "assistant", "system", "developer"), f"role {role}"
    assert content, "a message without content"
    allowed = OUTPUT_PARTS if role == "assistant" else INPUT_PARTS
    _check_parts([] if isinstance(content, str) else content, allowed, role)


def _check_output(output: Any) -> None:
    if not isinstance(output, str):
        assert output == [] or output, "an output"
        _check_parts(output, INPUT_PARTS, "an output")


def _check_parts(parts: list[Json], allowed: dict[str, set[str]], location: str) -> None:
    for part in parts:
        assert part["type"] in allowed, f"{part['type']} in {location}"
        foreign = set(part) - allowed[part["type"]] - {"type", "prompt_cache_breakpoint"}
        assert not foreign, f"foreign fields in {part['type']}: {foreign}"
        assert isinstance(part.get("image_url", ""), str), "image_url is a string here"

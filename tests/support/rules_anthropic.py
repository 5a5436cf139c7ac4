"""What the real Messages API answers with 400 (wire formats, sections 1 and 15).

``check_request(body)`` fails with a sentence for a request that the API would refuse.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

FIELDS = {
    "model", "max_tokens", "messages", "system", "tools", "tool_choice", "stop_sequences", "temperature", "top_p", "top_k", "thinking",
    "output_config", "metadata", "service_tier", "stream", "cache_control",
}  # fmt: skip
TOOL_FIELDS = {"name", "description", "input_schema", "strict", "cache_control"}
BLOCK_FIELDS = {
    "text": {"text", "citations"},
    "image": {"source"},
    "document": {"source", "title", "context", "citations"},
    "search_result": {"source", "title", "content", "citations"},
    "thinking": {"thinking", "signature"},
    "redacted_thinking": {"data"},
    "tool_use": {"id", "name", "input", "caller"},
    "tool_result": {"tool_use_id", "content", "is_error"},
    "server_tool_use": {"id", "name", "input"},
    "tool_reference": {"tool_name"},
}
ROLES = {
    "user": {"text", "image", "document", "search_result", "tool_result"},
    "assistant": {"text", "thinking", "redacted_thinking", "tool_use", "server_tool_use"},
    "system": {"text"},
}
SOURCES = {"base64": {"media_type", "data"}, "url": {"url"}, "text": {"media_type", "data"}, "content": {"content"}, "file": {"file_id"}}
IMAGE_TYPES = {"image/jpeg", "image/png", "image/gif", "image/webp"}
NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
ID = re.compile(r"[a-zA-Z0-9_-]+")

Json = dict[str, Any]


def check_request(body: Json) -> None:
    """Check a whole request body."""
    assert set(body) <= FIELDS, f"foreign fields: {set(body) - FIELDS}"
    assert isinstance(body["max_tokens"], int), "max_tokens is missing"
    assert 0 <= body.get("temperature", 0) <= 1, "temperature out of range"
    assert not {"temperature", "top_p"} <= set(body), "temperature and top_p together"
    assert all(text.strip() for text in body.get("stop_sequences", ())), "a stop sequence of white space"
    assert len(body.get("metadata", {}).get("user_id", "")) <= 256, "user_id is too long"
    assert set(body.get("metadata", {})) <= {"user_id"}, "foreign metadata"
    _check_tools(body)
    for block in _blocks(body.get("system", [])):
        assert block["type"] == "text", "system blocks are text"
        _check_block(block)
    _check_messages(body["messages"])
    _check_thinking(body)
    marks = sum(1 for _ in _marks(body))
    assert marks <= 4, f"{marks} cache breakpoints"


def _blocks(content: Any) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content)


def _check_tools(body: Json) -> None:
    tools, choice = body.get("tools"), body.get("tool_choice")
    assert tools is None or tools, "an empty list of tools"
    assert choice is None or tools, "tool_choice without tools"
    for tool in tools or ():
        assert set(tool) <= TOOL_FIELDS, f"foreign tool fields: {set(tool) - TOOL_FIELDS}"
        assert NAME.fullmatch(tool["name"]), f"illegal tool name {tool['name']!r}"
        assert tool["input_schema"]["type"] == "object", "a schema of another type than object"
    names = [tool["name"] for tool in tools or ()]
    assert len(names) == len(set(names)), "a tool name twice"
    if choice is not None:
        allowed = {"type", "disable_parallel_tool_use"} if choice["type"] != "none" else {"type"}
        assert set(choice) <= allowed | ({"name"} if choice["type"] == "tool" else set()), f"tool_choice with foreign fields: {choice}"
        assert choice["type"] != "tool" or choice["name"] in names, "a forced tool that is not offered"


def _check_block(block: Json) -> None:
    kind = block["type"]
    foreign = set(block) - BLOCK_FIELDS[kind] - {"type", "cache_control"}
    assert not foreign, f"foreign fields in a block of type {kind}: {foreign}"
    if kind == "text":
        assert block["text"].strip(), "an empty text block"
    elif kind in ("image", "document"):
        source = block["source"]
        assert set(source) == SOURCES[source["type"]] | {"type"}, f"a source with other fields: {set(source)}"
        types = IMAGE_TYPES if kind == "image" else {"application/pdf"}
        assert source["type"] != "base64" or source["media_type"] in types, f"media type {source['media_type']}"
    elif kind == "thinking":
        assert block["signature"], "thinking without a signature"
        assert not block["signature"].startswith("pxr1."), "one of our carriers at an upstream"
        assert "cache_control" not in block, "a cache mark on thinking"
    elif kind in ("tool_use", "server_tool_use"):
        assert isinstance(block["input"], dict), "an input that is no object"
        assert ID.fullmatch(block["id"]), f"illegal id {block['id']!r}"
    elif kind == "tool_result":
        for inner in _blocks(block["content"]) if "content" in block else ():
            assert inner["type"] in ("text", "image", "document", "search_result", "tool_reference"), f"{inner['type']} inside a result"
            _check_block(inner)


def _check_messages(messages: list[Json]) -> None:
    assert messages, "no messages"
    assert messages[0]["role"] != "system", "system at the head"
    open_calls: list[str] = []
    for index, message in enumerate(messages):
        role, blocks = message["role"], _blocks(message["content"])
        assert set(message) == {"role", "content"}, "foreign fields in a message"
        assert blocks, "an empty message"
        assert index == 0 or role != messages[index - 1]["role"], "two turns of one role"
        assert role != "system" or messages[index - 1]["role"] == "user", "system behind another than a user turn"
        for block in blocks:
            assert block["type"] in ROLES[role], f"{block['type']} in a {role} turn"
            _check_block(block)
        results = [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
        assert [block["type"] == "tool_result" for block in blocks] == [True] * len(results) + [False] * (len(blocks) - len(results)), (
            "text before results"
        )
        if role == "user":
            assert sorted(results) == sorted(open_calls), f"results for {results} where calls {open_calls} were open"
            open_calls = []
        elif role == "assistant":
            assert not open_calls, "a call without its result"
            open_calls = [block["id"] for block in blocks if block["type"] == "tool_use"]
            assert len(open_calls) == len(set(open_calls)), "a call id twice in a turn"
    assert not open_calls, "a call without its result at the end"
    last = _blocks(messages[-1]["content"])[-1]
    assert messages[-1]["role"] != "assistant" or last["type"] != "text" or last["text"] == last["text"].rstrip(), "white space at the end"


def _check_thinking(body: Json) -> None:
    thinking = body.get("thinking", {"type": "disabled"})
    if thinking["type"] != "enabled":
        return
    assert 1024 <= thinking["budget_tokens"] < body["max_tokens"], "a budget out of range"
    assert "temperature" not in body, "thinking with a temperature"
    assert "top_k" not in body, "thinking with top_k"
    assert body.get("tool_choice", {"type": "auto"})["type"] in ("auto", "none"), "thinking with a forced tool"
    turns = [message for message in body["messages"] if message["role"] == "assistant"]
    after = body["messages"][-1]
    if turns and (after["role"] == "assistant" or any(block["type"] == "tool_result" for block in _blocks(after["content"]))):
        assert _blocks(turns[-1]["content"])[0]["type"] in ("thinking", "redacted_thinking"), "a tool loop without its thinking"


def _marks(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        if "cache_control" in value:
            yield value["cache_control"]
        for key, inner in value.items():
            if key != "input_schema":
                yield from _marks(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _marks(inner)

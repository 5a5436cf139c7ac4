"""The strict grammar of a Messages stream, as a client may rely on it (wire formats, section 1.6).

``check(stream)`` takes the bytes of a whole stream and returns its events; it fails with a sentence that says what is wrong.
``message_of(events)`` folds them as the SDK does.
"""

from __future__ import annotations

import json
import re
from typing import Any

from proxy.translation.framing.sse import Frame, Reader

_DELTAS_OF = {
    "text": {"text_delta", "citations_delta"},
    "thinking": {"thinking_delta", "signature_delta"},
    "tool_use": {"input_json_delta"},
    "server_tool_use": {"input_json_delta"},
    "mcp_tool_use": {"input_json_delta"},
}
_USAGE = {"input_tokens", "output_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "cache_creation"}
_TOOL_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def events_of(frames: list[Frame]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    for frame in frames:
        assert frame.data != b"[DONE]", "a Messages stream has no [DONE]"
        event = json.loads(frame.data)
        assert frame.event == event["type"], f"the event line {frame.event!r} differs from the type {event['type']!r}"
        if event["type"] != "ping":
            events.append(event)
    return events


def check(stream: bytes) -> list[dict[str, Any]]:
    """Check a whole stream of ours, from ``message_start`` to ``message_stop`` or ``error``; pings are left out."""
    reader = Reader()
    return check_frames(reader.feed(stream) + reader.close())


def check_frames(frames: list[Frame]) -> list[dict[str, Any]]:
    events = events_of(frames)
    kinds = [event["type"] for event in events]
    if kinds[-1] == "error":
        assert kinds.count("error") == 1, "an error comes once"
        assert "message_stop" not in kinds, "a broken stream has no message_stop"
        assert set(events[-1]["error"]) >= {"type", "message"}, "an error has a type and a message"
        _check_blocks(events[1:-1], complete=False)
        return events
    assert kinds[0] == "message_start", f"a stream begins with message_start, not {kinds[0]}"
    assert kinds[-2:] == ["message_delta", "message_stop"], f"a stream ends in message_delta and message_stop, not {kinds[-2:]}"
    for once in ("message_start", "message_delta", "message_stop"):
        assert kinds.count(once) == 1, f"{once} comes exactly once"
    _check_start(events[0]["message"])
    _check_blocks(events[1:-2], complete=True)
    assert isinstance(events[-2]["delta"]["stop_reason"], str), "the stop reason is always told"
    assert isinstance(events[-2]["usage"]["output_tokens"], int), "output_tokens are always told"
    return events


def _check_start(message: dict[str, Any]) -> None:
    assert message["content"] == [], "message_start has no content"
    assert message["stop_reason"] is None, "message_start has no stop reason"
    assert message["id"].startswith("msg_"), "message ids begin with msg_"
    assert set(message["usage"]) >= _USAGE, "message_start has the whole usage object"


def _check_blocks(events: list[dict[str, Any]], *, complete: bool) -> None:
    number, block = -1, None
    signatures = 0
    for event in events:
        kind = event["type"]
        if kind == "content_block_start":
            assert block is None, "a block starts while another is open"
            number += 1
            block, signatures = event["content_block"], 0
            assert event["index"] == number, f"block number {event['index']} where {number} was due"
            _check_head(block)
            continue
        assert block is not None, f"{kind} outside of a block"
        assert event["index"] == number, f"{kind} for block {event['index']} while {number} is open"
        if kind == "content_block_stop":
            assert signatures == (1 if block["type"] == "thinking" else 0), "a thinking block is signed once"
            block = None
            continue
        assert kind == "content_block_delta", f"{kind} amid the blocks"
        assert event["delta"]["type"] in _DELTAS_OF[block["type"]], f"{event['delta']['type']} in a block of type {block['type']}"
        assert signatures == 0, "nothing follows a signature"
        signatures += event["delta"]["type"] == "signature_delta"
    assert block is None or not complete, "a block is left open"


def _check_head(block: dict[str, Any]) -> None:
    if block["type"] == "tool_use":
        assert block["input"] == {}, "a tool call starts with an empty input"
        assert block["name"], "a tool call has a name"
        assert _TOOL_ID.fullmatch(block["id"]), f"illegal tool id {block['id']!r}"
    if block["type"] == "text":
        assert block["text"] == "", "a text block starts empty"
    if block["type"] == "thinking":
        assert (block["thinking"], block["signature"]) == ("", ""), "a thinking block starts empty"


def message_of(events: list[dict[str, Any]]) -> dict[str, Any]:
    """The message that a client makes of the events."""
    message = dict(events[0]["message"], content=[])
    fragments = ""
    for event in events[1:]:
        if event["type"] == "content_block_start":
            message["content"].append(dict(event["content_block"]))
            fragments = ""
        elif event["type"] == "content_block_delta":
            block, delta = message["content"][-1], event["delta"]
            if delta["type"] == "input_json_delta":
                fragments += delta["partial_json"]
            elif delta["type"] == "citations_delta":
                block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
            elif delta["type"] == "signature_delta":
                block["signature"] = delta["signature"]
            else:
                field = delta["type"].removesuffix("_delta")
                block[field] += delta[field]
        elif event["type"] == "content_block_stop" and fragments:
            message["content"][-1]["input"] = json.loads(fragments)
        elif event["type"] == "message_delta":
            message |= event["delta"]
            message["usage"] = message["usage"] | event["usage"]
    return message

"""The strict grammar of a Responses stream, as a client may rely on it (wire formats, section 3.5).

``check(stream)`` takes the bytes of a whole stream and returns its events; it fails with a sentence that says what is wrong.
"""

from __future__ import annotations

import json
from typing import Any

from proxy.translation.framing.sse import Reader

TERMINAL = ("response.completed", "response.incomplete", "response.failed", "error")
_ITEM_OF_EVENT = {
    "response.output_text": "message",
    "response.refusal": "message",
    "response.content_part": "message",
    "response.function_call_arguments": "function_call",
    "response.custom_tool_call_input": "custom_tool_call",
    "response.reasoning_summary_text": "reasoning",
    "response.reasoning_summary_part": "reasoning",
}


def events_of(stream: bytes) -> list[dict[str, Any]]:
    """The events, with their ``event:`` lines and sequence numbers checked."""
    reader = Reader()
    events: list[dict[str, Any]] = []
    for number, frame in enumerate(reader.feed(stream) + reader.close()):
        assert frame.data != b"[DONE]", "a Responses stream has no [DONE]"
        event = json.loads(frame.data)
        assert frame.event == event["type"], f"the event line {frame.event!r} differs from the type {event['type']!r}"
        assert event["sequence_number"] == number, f"sequence number {event['sequence_number']} where {number} was due"
        events.append(event)
    return events


def check(stream: bytes) -> list[dict[str, Any]]:
    """Check a whole stream of ours, from ``response.created`` to its terminal event."""
    events = events_of(stream)
    kinds = [event["type"] for event in events]
    assert kinds[:2] == ["response.created", "response.in_progress"], f"a stream begins with created and in_progress, not {kinds[:2]}"
    assert kinds[-1] in TERMINAL, f"a stream ends in a terminal event, not in {kinds[-1]}"
    assert not set(kinds[2:-1]) & {*TERMINAL, "response.created", "response.in_progress"}, "a life-cycle event stands amid the items"
    for event in events[:2]:
        assert event["response"]["status"] == "in_progress", "created and in_progress tell of a response in progress"
        assert event["response"]["output"] == [], "a response in progress has no output yet"
    items = _Items()
    for event in events[2:-1]:
        items.take(event)
    if kinds[-1] != "error":
        _check_terminal(events, items)
    return events


def _check_terminal(events: list[dict[str, Any]], items: _Items) -> None:
    last = events[-1]
    response = last["response"]
    assert response["id"] == events[0]["response"]["id"], "the response's id has changed"
    assert response["status"] == last["type"].removeprefix("response."), "the status differs from the event's type"
    assert response["output"] == items.finished(), "the output differs from the finished items"
    if last["type"] == "response.failed":
        assert response["error"]["code"], "an error needs a code"
        assert isinstance(response["error"]["message"], str), "an error needs a message"
        return
    assert not items.open_items(), f"items were never finished: {items.open_items()}"
    assert response["error"] is None, "only failed responses have an error"
    assert (response["incomplete_details"] is not None) == (last["type"] == "response.incomplete"), (
        "incomplete_details do not fit the status"
    )
    usage = response["usage"]
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"], "the total is not the sum"
    assert {"cached_tokens", "cache_write_tokens"} == set(usage["input_tokens_details"]), "the input's details are not complete"
    assert {"reasoning_tokens"} == set(usage["output_tokens_details"]), "the output's details are not complete"


class _Items:
    def __init__(self) -> None:
        self._items: dict[int, _Item] = {}

    def open_items(self) -> list[int]:
        return [index for index, item in self._items.items() if item.whole is None]

    def finished(self) -> list[Any]:
        return [item.whole for _, item in sorted(self._items.items()) if item.whole is not None]

    def take(self, event: dict[str, Any]) -> None:
        index, kind = event["output_index"], event["type"]
        if kind == "response.output_item.added":
            assert index == len(self._items), f"output index {index} where {len(self._items)} was due"
            self._items[index] = _Item(event["item"])
            return
        assert index in self._items, f"{kind} for item {index}, which was never added"
        item = self._items[index]
        assert item.whole is None, f"{kind} for item {index}, which was finished before"
        if kind == "response.output_item.done":
            item.finish(event["item"])
        else:
            item.take(event)


class _Item:
    """One item's way up and down the ladder."""

    def __init__(self, skeleton: dict[str, Any]) -> None:
        self.skeleton = skeleton
        self.whole: dict[str, Any] | None = None
        self.parts: list[_Part] = []
        self.call = _Part({})
        assert skeleton.get("content", []) == [], "an added message has no content yet"
        assert skeleton.get("summary", []) == [], "an added reasoning item has no summary yet"
        assert skeleton.get("arguments", "") == "", "an added call has no arguments yet"
        if skeleton["type"] in ("message", "function_call"):
            assert skeleton["status"] == "in_progress", "an added item is in progress"

    def take(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        ladder = (
            kind.removesuffix(".annotation.added").rpartition(".")[0] if not kind.endswith(".annotation.added") else "response.output_text"
        )
        assert event["item_id"] == self.skeleton["id"], f"{kind} names item {event['item_id']!r}, not {self.skeleton['id']!r}"
        assert _ITEM_OF_EVENT[ladder] == self.skeleton["type"], f"{kind} does not belong to a {self.skeleton['type']}"
        if kind in ("response.content_part.added", "response.reasoning_summary_part.added"):
            self._begin_part(event)
        else:
            self._part_of(event).take(event, ladder)

    def _begin_part(self, event: dict[str, Any]) -> None:
        position = event["content_index"] if "content_index" in event else event["summary_index"]
        assert position == len(self.parts), f"part {position} where {len(self.parts)} was due"
        assert all(part.ended for part in self.parts), "a part begins before the one before it has ended"
        self.parts.append(_Part(event["part"]))

    def _part_of(self, event: dict[str, Any]) -> _Part:
        if self.skeleton["type"] in ("function_call", "custom_tool_call"):
            return self.call
        position = event["content_index"] if "content_index" in event else event["summary_index"]
        assert position < len(self.parts), f"{event['type']} for part {position}, which was never added"
        return self.parts[position]

    def finish(self, item: dict[str, Any]) -> None:
        self.whole = item
        for name in ("id", "type", "call_id", "name", "namespace", "role"):
            assert item.get(name) == self.skeleton.get(name), f"the item's {name} has changed"
        if item["type"] == "message":
            assert item["status"] == "completed", "a finished message is completed"
            assert item["content"] == [part.whole for part in self.parts], "the content differs from its parts"
        elif item["type"] == "reasoning":
            assert item["summary"] == [part.whole for part in self.parts], "the summary differs from its parts"
        elif item["type"] in ("function_call", "custom_tool_call"):
            assert item["status"] == "completed", "a finished call is completed"
            assert self.call.text_done, "the call's arguments were never finished"
            call_text = item["arguments"] if item["type"] == "function_call" else item["input"]
            assert call_text == self.call.text, "the arguments differ from their deltas"
        if item["type"] in ("message", "reasoning"):
            assert all(part.ended for part in self.parts), "an item ends before its parts"


class _Part:
    """The text of one part: deltas, ``done``, and the end of the part."""

    def __init__(self, skeleton: dict[str, Any]) -> None:
        self.text = ""
        self.annotations: list[Any] = []
        self.text_done = False
        self.ended = False
        self.whole: dict[str, Any] | None = None
        assert (skeleton.get("text") or skeleton.get("refusal") or "") == "", "an added part has no words yet"

    def take(self, event: dict[str, Any], ladder: str) -> None:
        kind = event["type"]
        assert not self.ended, f"{kind} after the end of its part"
        if kind.endswith("_part.done"):
            self._end(event["part"])
        elif kind.endswith(".annotation.added"):
            assert event["annotation_index"] == len(self.annotations), "annotations are numbered from 0"
            self.annotations.append(event["annotation"])
        elif kind.endswith(".delta"):
            assert not self.text_done, f"{kind} after {ladder}.done"
            assert event["delta"] != "", f"{kind} without words"
            self.text += event["delta"]
        else:
            self.text_done = True
            full_text = next(event[name] for name in ("text", "refusal", "arguments", "input") if name in event)
            assert full_text == self.text, f"{kind} differs from its deltas"

    def _end(self, part: dict[str, Any]) -> None:
        assert self.text_done, "a part ends before its words"
        self.ended = True
        self.whole = part
        assert (part["refusal"] if part["type"] == "refusal" else part["text"]) == self.text, "the part differs from its deltas"
        assert part.get("annotations", []) == self.annotations, "the annotations differ from those that were added"

"""The grammar of a client's ConverseStream and response (wire formats, section 17.6). The shapes are checked by botocore's own model."""

from __future__ import annotations

import json
from typing import Any

from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.framing.sse import Frame
from tests.support.rules_converse import check_shape, operation


def _frames(stream: bytes) -> list[Frame]:
    reader = REGISTRY["bedrock_converse"].framing.reader()
    return reader.feed(stream) + reader.close()


def _check_events(frames: list[Frame]) -> None:
    """Check events up to any place: blocks one after the other, each begun by its first event and ended by its stop."""
    shapes = operation("ConverseStream").output_shape.members["stream"].members
    number, is_open = -1, False
    for place, frame in enumerate(frames):
        value = json.loads(frame.data)
        check_shape(value, shapes[frame.event])
        assert (frame.event == "messageStart") is (place == 0), "messageStart is not the first event"
        if not frame.event.startswith("contentBlock"):
            assert not is_open or frame.event == "messageStart", f"{frame.event} inside a block"
            continue
        index = value["contentBlockIndex"]
        if frame.event == "contentBlockStop":
            assert is_open, "the stop of no block"
            is_open = False
        elif not is_open:
            number, is_open = number + 1, True
        else:
            assert frame.event == "contentBlockDelta", "a block begins inside of another"
        assert index == number, f"block {index} instead of {number}"


def check(stream: bytes) -> None:
    """Check a whole stream."""
    frames = _frames(stream)
    _check_events(frames)
    assert [frame.event for frame in frames[-2:]] == ["messageStop", "metadata"], "the end is not messageStop and metadata"
    assert [frame.event for frame in frames].count("messageStop") == 1, "messageStop twice"
    _check_usage(json.loads(frames[-1].data)["usage"])


def check_broken(stream: bytes) -> None:
    """Check a stream that failed: an exception is its last frame, and it has no messageStop."""
    *frames, last = _frames(stream)
    assert last.event.endswith("Exception"), f"a broken stream ends in {last.event}"
    _check_events(frames)
    assert "messageStop" not in [frame.event for frame in frames], "a broken stream has a messageStop"


def check_answer(body: bytes) -> None:
    """Check a whole response."""
    answer = json.loads(body)
    check_shape(answer, operation("Converse").output_shape)
    _check_usage(answer["usage"])


def _check_usage(usage: dict[str, Any]) -> None:
    counts = (usage.get(name, 0) for name in ("inputTokens", "outputTokens", "cacheReadInputTokens", "cacheWriteInputTokens"))
    assert usage["totalTokens"] == sum(counts), "the total is not the sum"

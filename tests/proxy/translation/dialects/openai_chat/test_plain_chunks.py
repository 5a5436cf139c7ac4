"""Chunks that have one piece of text and nothing else are decoded by a smaller decoder, with the same events."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.translation.canonical import Event, PartDelta
from proxy.translation.dialects.openai_chat import stream_decode
from proxy.translation.dialects.openai_chat.plain_chunks import decode_plain_chunk
from proxy.translation.dialects.openai_chat.stream_decode import ChatStreamDecoder
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import DEFAULT

DELTAS = st.sampled_from(
    [
        {"content": "word "},
        {"content": "word ", "role": "assistant", "refusal": None, "tool_calls": []},
        {"content": "word ", "vendor_field": 1},
        {"content": ""},
        {"content": None},
        {"content": [{"type": "text", "text": "word "}]},
        {"content": "word ", "reasoning": "why"},
        {"reasoning_content": "why"},
        {"refusal": "no"},
        {"tool_calls": [{"index": 0, "id": "call_1", "function": {"name": "f", "arguments": "{}"}}]},
        {"content": "word ", "audio": {"data": "AA=="}},
        {"content": "word ", "extra_content": {"google": {"thought_signature": "s"}}},
        {"content": "cited", "annotations": [{"type": "url_citation", "url_citation": {"url": "https://a.example"}}]},
    ]
)
CHOICES = st.builds(
    lambda delta, rest: {"index": 0, "delta": delta, "finish_reason": None} | rest,
    DELTAS,
    st.sampled_from([{}, {"finish_reason": "stop"}, {"index": 1}, {"logprobs": {"content": []}}, {"usage": {"prompt_tokens": 3}}]),
)
CHUNKS = st.builds(
    lambda choices, rest: {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m", "choices": choices} | rest,
    st.lists(CHOICES, max_size=2),
    st.sampled_from(
        [
            {},
            {"service_tier": "flex"},
            {"usage": {"prompt_tokens": 2, "completion_tokens": 1}},
            {"citations": ["u"]},
            {"error": {"message": "x"}},
        ]
    ),
)


def _events(frames: list[Frame]) -> list[Event]:
    decoder = ChatStreamDecoder(DEFAULT)
    return [event for frame in frames for event in decoder.feed(frame)] + decoder.close()


def _chunk(delta: dict[str, Any], **fields: Any) -> bytes:
    return msgspec.json.encode({"id": "c", "choices": [{"index": 0, "delta": delta, "finish_reason": None}], **fields})


@given(chunks=st.lists(CHUNKS, max_size=12))
def test_any_stream_has_the_same_events_with_and_without_the_smaller_decoder(chunks: list[dict[str, Any]]) -> None:
    frames = [*(Frame(msgspec.json.encode(chunk)) for chunk in chunks), Frame(b"[DONE]")]
    with_plain = _events(frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stream_decode, "MAX_MISSES", 0)
        assert with_plain == _events(frames)


def test_the_text_of_a_plain_chunk_after_a_first_one_is_a_delta() -> None:
    decoder = ChatStreamDecoder(DEFAULT)
    decoder.feed(Frame(_chunk({"content": "a"})))
    assert decoder.feed(Frame(_chunk({"content": "b"}, service_tier="flex"))) == [PartDelta(0, "b")]


@pytest.mark.parametrize(
    "data",
    [
        _chunk({"content": "a", "audio": {}}),
        _chunk({"content": ""}),
        _chunk({"content": "a"}, usage={}),
        _chunk({"content": "a"}, object="error"),
        _chunk({"content": "a"}, vendor_field=1),
        b"[DONE]",
    ],
)
def test_a_chunk_that_may_say_more_is_not_plain(data: bytes) -> None:
    with pytest.raises(msgspec.DecodeError):
        decode_plain_chunk(data)

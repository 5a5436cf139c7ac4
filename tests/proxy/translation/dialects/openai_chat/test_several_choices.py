"""Answers with several choices in the other form than the client has asked for."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from proxy.translation.dialects.openai_chat.several_choices import response_of_choices, stream_of_choices
from proxy.translation.errors import UpstreamFailed
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import DEFAULT
from tests.proxy.translation.dialects.openai_chat.samples import CONTEXT, WITH_USAGE

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 5,
    "total_tokens": 14,
    "prompt_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
    "completion_tokens_details": {"reasoning_tokens": 0},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
HEAD = {"id": f"chatcmpl-{CONTEXT.id}", "created": CONTEXT.created, "model": "claude"}


def choice(index: int, reason: str, **message: Any) -> dict[str, Any]:
    return {
        "index": index,
        "message": {"role": "assistant", "content": None, "refusal": None} | message,
        "logprobs": None,
        "finish_reason": reason,
    }


WHOLE = HEAD | {
    "object": "chat.completion",
    "choices": [choice(0, "stop", content="One"), choice(1, "tool_calls", tool_calls=[CALL])],
    "usage": USAGE,
}


def chunk(index: int, delta: dict[str, Any], reason: str | None = None, **fields: Any) -> dict[str, Any]:
    return HEAD | {"object": "chat.completion.chunk", "choices": [{"index": index, "delta": delta, "finish_reason": reason}], **fields}


STARTED_CALL = {"index": 0, "id": "call_1", "type": "function", "function": {"name": "f", "arguments": ""}}
CHUNKS = [
    chunk(0, {"role": "assistant", "content": ""}),
    chunk(0, {"content": "One"}),
    chunk(0, {}, "stop"),
    chunk(1, {"role": "assistant", "content": ""}),
    chunk(1, {"tool_calls": [STARTED_CALL]}),
    chunk(1, {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]}),
    chunk(1, {}, "tool_calls"),
]
USAGE_CHUNK = HEAD | {"object": "chat.completion.chunk", "choices": [], "usage": USAGE}


def frames(chunks: list[Any]) -> list[Frame]:
    return [Frame(json.dumps(entry).encode()) for entry in chunks] + [Frame(b"[DONE]")]


def test_a_whole_answer_becomes_a_stream_with_all_choices() -> None:
    stream = stream_of_choices(json.dumps(WHOLE).encode(), DEFAULT, CONTEXT) or []
    assert [json.loads(frame.data) for frame in stream[:-1]] == CHUNKS
    assert stream[-1] == Frame(b"[DONE]")


def test_the_usage_comes_once_at_the_end_if_the_client_asked_for_it() -> None:
    stream = stream_of_choices(json.dumps(WHOLE).encode(), DEFAULT, WITH_USAGE) or []
    assert [json.loads(frame.data) for frame in stream[:-1]] == [*({**entry, "usage": None} for entry in CHUNKS), USAGE_CHUNK]


def test_a_stream_becomes_a_whole_answer_with_all_choices() -> None:
    mixed = [*CHUNKS[3:5], *CHUNKS[:2], CHUNKS[5], CHUNKS[2], CHUNKS[6], USAGE_CHUNK]
    body = response_of_choices(frames(mixed), DEFAULT, CONTEXT)
    assert body is not None
    assert json.loads(body) == WHOLE


def test_two_choices_in_one_chunk_are_told_apart() -> None:
    both = chunk(0, {"content": "a"}, "stop") | {
        "choices": [chunk(at, {"content": text}, "stop")["choices"][0] for at, text in ((0, "a"), (1, "b"))]
    }
    body = response_of_choices(frames([both]), DEFAULT, CONTEXT)
    assert body is not None
    assert [entry["message"]["content"] for entry in json.loads(body)["choices"]] == ["a", "b"]


@pytest.mark.parametrize("value", [WHOLE | {"choices": WHOLE["choices"][:1]}, {"choices": []}, {"error": {"message": "no"}}, [], None])
def test_other_answers_are_left_to_the_canonical_form(value: Any) -> None:
    assert stream_of_choices(json.dumps(value).encode(), DEFAULT, CONTEXT) is None
    assert response_of_choices(frames([value]), DEFAULT, CONTEXT) is None


def test_a_choice_that_broke_off_fails_the_whole_answer() -> None:
    broken = WHOLE | {"choices": [WHOLE["choices"][0], choice(1, "error")]}
    with pytest.raises(UpstreamFailed):
        stream_of_choices(json.dumps(broken).encode(), DEFAULT, CONTEXT)
    with pytest.raises(UpstreamFailed):
        response_of_choices(frames([*CHUNKS[:3], CHUNKS[3], msgspec.json.decode(b'{"error":{"message":"no"}}')]), DEFAULT, CONTEXT)

"""Streams and answers of every client dialect, judged by their strict grammars and by the types of the official SDKs.

``JUDGES[dialect]`` has ``check_whole(stream)`` for a stream that must be complete, ``check_broken(stream)`` for one that must have ended in
exactly one error, and ``check_answer(body)`` for an unstreamed answer.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from anthropic.types import Message as SdkMessage
from anthropic.types import RawMessageStreamEvent
from msgspec import Struct
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.responses import Response as SdkResponse
from openai.types.responses import ResponseStreamEvent
from pydantic import TypeAdapter

from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.framing.sse import Frame
from tests.support import grammar_anthropic, grammar_converse, grammar_gemini, grammar_openai_chat, grammar_openai_responses

_MESSAGE_EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
_RESPONSE_EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


class Judge(Struct, frozen=True):
    """How one dialect's output is checked; each function fails with a sentence."""

    check_whole: Callable[[bytes], None]
    check_broken: Callable[[bytes], None]
    check_answer: Callable[[bytes], None]


def _messages_whole(stream: bytes) -> None:
    _typed_messages(grammar_anthropic.check(stream))


def _typed_messages(events: list[dict[str, Any]]) -> None:
    assert events[-1]["type"] == "message_stop", f"the stream ends in {events[-1]['type']}"
    for event in events:
        _MESSAGE_EVENT.validate_python(event)


def _messages_broken(stream: bytes) -> None:
    events = grammar_anthropic.check(stream)
    assert events[-1]["type"] == "error", f"a broken stream ends in {events[-1]['type']}"


def _bedrock_frames(stream: bytes) -> list[Frame]:
    reader = REGISTRY["bedrock"].framing.reader()
    return reader.feed(stream) + reader.close()


def _as_messages(frames: list[Frame]) -> list[Frame]:
    return [Frame(frame.data, json.loads(frame.data)["type"]) for frame in frames]


def _bedrock_whole(stream: bytes) -> None:
    frames = _bedrock_frames(stream)
    assert {frame.event for frame in frames} == {"chunk"}, "a whole stream has only chunks"
    _typed_messages(grammar_anthropic.check_frames(_as_messages(frames)))


def _bedrock_broken(stream: bytes) -> None:
    *frames, last = _bedrock_frames(stream)
    assert last.event.endswith("Exception"), f"a broken stream ends in {last.event}"
    assert {frame.event for frame in frames} <= {"chunk"}, "an exception comes once"
    assert "message_stop" not in [frame.event for frame in _as_messages(frames)], "a broken stream has no message_stop"


def _chat_whole(stream: bytes) -> None:
    for chunk in grammar_openai_chat.check(stream, include_usage=True):
        ChatCompletionChunk.model_validate(chunk)


def _chat_broken(stream: bytes) -> None:
    grammar_openai_chat.check_broken(stream)


def _responses_whole(stream: bytes) -> None:
    events = grammar_openai_responses.check(stream)
    assert events[-1]["type"] in ("response.completed", "response.incomplete"), f"the stream ends in {events[-1]['type']}"
    for event in events:
        _RESPONSE_EVENT.validate_python(event)


def _responses_broken(stream: bytes) -> None:
    last = grammar_openai_responses.check(stream)[-1]
    assert last["type"] in ("response.failed", "error"), f"a broken stream ends in {last['type']}"


def _message(body: bytes) -> None:
    SdkMessage.model_validate(json.loads(body))


JUDGES: dict[str, Judge] = {
    "anthropic": Judge(_messages_whole, _messages_broken, _message),
    "bedrock": Judge(_bedrock_whole, _bedrock_broken, _message),
    "bedrock_converse": Judge(grammar_converse.check, grammar_converse.check_broken, grammar_converse.check_answer),
    "gemini": Judge(grammar_gemini.check, grammar_gemini.check_broken, grammar_gemini.check_answer),
    "openai_chat": Judge(_chat_whole, _chat_broken, lambda body: _validate(ChatCompletion, body)),
    "openai_responses": Judge(_responses_whole, _responses_broken, lambda body: _validate(SdkResponse, body)),
}


def _validate(model: Any, body: bytes) -> None:
    model.model_validate(json.loads(body))

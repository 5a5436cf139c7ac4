"""Prepared responses of the benchmark's upstream, and the text that a client must decode from them."""

import json
from typing import Any

CHUNKS = 50
CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"

PIECES = [f"word{number:02} " for number in range(CHUNKS)]
TEXT = "".join(PIECES)
INPUT_TOKENS, OUTPUT_TOKENS = 21, 100

_CHAT_USAGE = {"prompt_tokens": INPUT_TOKENS, "completion_tokens": OUTPUT_TOKENS, "total_tokens": INPUT_TOKENS + OUTPUT_TOKENS}
_MESSAGES_USAGE = {"input_tokens": INPUT_TOKENS, "output_tokens": OUTPUT_TOKENS}


def _json(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _chunk(choices: list[dict[str, Any]], **fields: Any) -> bytes:
    chunk = {
        "id": "chatcmpl-bench",
        "object": "chat.completion.chunk",
        "created": 1767225600,
        "model": "bench",
        "choices": choices,
        **fields,
    }
    return b"data: " + _json(chunk) + b"\n\n"


def _choice(delta: dict[str, Any], finish: str | None = None) -> list[dict[str, Any]]:
    return [{"index": 0, "delta": delta, "finish_reason": finish}]


def _event(kind: str, **fields: Any) -> bytes:
    return f"event: {kind}\ndata: ".encode() + _json({"type": kind, **fields}) + b"\n\n"


def _message(content: list[dict[str, Any]], stop: str | None, usage: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_bench",
        "type": "message",
        "role": "assistant",
        "model": "bench",
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": usage,
    }


COMPLETE_BODIES = {
    CHAT: _json(
        {
            "id": "chatcmpl-bench",
            "object": "chat.completion",
            "created": 1767225600,
            "model": "bench",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": TEXT}, "finish_reason": "stop"}],
            "usage": _CHAT_USAGE,
        }
    ),
    MESSAGES: _json(_message([{"type": "text", "text": TEXT}], "end_turn", _MESSAGES_USAGE)),
}

_BLOCK = {"type": "text", "text": ""}
_DELTA = {"stop_reason": "end_turn", "stop_sequence": None}

EVENTS = {
    CHAT: [
        _chunk(_choice({"role": "assistant", "content": ""})) + _chunk(_choice({"content": PIECES[0]})),
        *(_chunk(_choice({"content": piece})) for piece in PIECES[1:]),
        _chunk(_choice({}, "stop")) + _chunk([], usage=_CHAT_USAGE) + b"data: [DONE]\n\n",
    ],
    MESSAGES: [
        _event("message_start", message=_message([], None, {**_MESSAGES_USAGE, "output_tokens": 1}))
        + _event("content_block_start", index=0, content_block=_BLOCK)
        + _event("content_block_delta", index=0, delta={"type": "text_delta", "text": PIECES[0]}),
        *(_event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in PIECES[1:]),
        _event("content_block_stop", index=0) + _event("message_delta", delta=_DELTA, usage=_MESSAGES_USAGE) + _event("message_stop"),
    ],
}
"""The streams, one item for each write of a provider; the last item ends the stream."""

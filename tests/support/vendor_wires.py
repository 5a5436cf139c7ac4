"""What providers answer, in all four dialects: written from their documentation, without any of the gateway's own code.

:class:`Completion` is the output of a model; each dialect has a function for the whole answer and one for its stream.
"""

from __future__ import annotations

import base64
import json
import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
SIGNATURE = "EqoBCkgIARABGAIiQL+"
SEALED = "gAAAAABo+sealed=="


@dataclass(frozen=True)
class Call:
    """A call of a tool; `arguments` is the text as the model wrote it."""

    id: str
    name: str
    arguments: str


@dataclass(frozen=True)
class Completion:
    """One output of a model. Texts come as several deltas where they are lists. `stop`: end, length, sequence, refusal, context."""

    text: str | Sequence[str] = ()
    calls: Sequence[Call] = ()
    thinking: str | Sequence[str] = ()
    stop: str = "end"
    refusal: str = ""
    usage: tuple[int, int, int, int, int] = (100, 30, 20, 50, 10)
    """Fresh, read from the cache, written to the cache, output, of which reasoning."""
    breaks: str = ""
    """How a stream breaks off behind the text: "error" says so, "close" does not."""

    @property
    def pieces(self) -> list[str]:
        """The deltas of the text."""
        return [self.text] if isinstance(self.text, str) else list(self.text)

    @property
    def thoughts(self) -> list[str]:
        """The deltas of the thinking."""
        return [self.thinking] if isinstance(self.thinking, str) else list(self.thinking)


def pieces_of(text: str, size: int = 5) -> list[str]:
    """A text as it comes in a stream."""
    return [text[at : at + size] for at in range(0, len(text), size)]


# --- Chat Completions ------------------------------------------------------------------------------------------------


def chat_usage(completion: Completion) -> Json:
    fresh, read, write, output, reasoning = completion.usage
    return {
        "prompt_tokens": fresh + read + write,
        "completion_tokens": output,
        "total_tokens": fresh + read + write + output,
        "prompt_tokens_details": {"cached_tokens": read, "cache_write_tokens": write, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
    }


def chat_finish(completion: Completion) -> str:
    if completion.stop == "end":
        return "tool_calls" if completion.calls else "stop"
    return {"length": "length", "sequence": "stop", "refusal": "content_filter", "context": "length"}[completion.stop]


def chat_whole(completion: Completion, body: Json) -> Json:
    message: Json = {
        "role": "assistant",
        "content": "".join(completion.pieces) or None,
        "refusal": completion.refusal or None,
        "annotations": [],
    }
    if completion.thoughts:
        message["reasoning_content"] = "".join(completion.thoughts)
    if completion.calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}} for call in completion.calls
        ]
    choice = {"message": message, "logprobs": None, "finish_reason": chat_finish(completion)}
    return {
        "id": "chatcmpl-upstream1",
        "object": "chat.completion",
        "created": 1790000000,
        "model": body["model"] + "-2026",
        "choices": [{"index": index, **choice} for index in range(body.get("n", 1))],
        "usage": chat_usage(completion),
        "service_tier": "default",
        "system_fingerprint": "fp_1",
    }


def chat_stream(completion: Completion, body: Json) -> Iterator[bytes]:
    wants_usage = (body.get("stream_options") or {}).get("include_usage")

    def chunk(delta: Json | None, finish: str | None = None, **fields: Any) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        value = {
            "id": "chatcmpl-upstream1",
            "object": "chat.completion.chunk",
            "created": 1790000000,
            "model": body["model"] + "-2026",
            "service_tier": "default",
            "system_fingerprint": "fp_1",
            "choices": choices,
            **({"usage": None} if wants_usage else {}),
            **fields,
        }
        return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\n\n"

    yield chunk({"role": "assistant", "content": "", "refusal": None})
    for piece in completion.thoughts:
        yield chunk({"reasoning_content": piece})
    for piece in completion.pieces:
        yield chunk({"content": piece})
    if completion.breaks == "error":
        yield b"data: " + json.dumps({"error": {"message": "it broke", "type": "server_error", "code": "server_error"}}).encode() + b"\n\n"
        return
    if completion.breaks:
        return
    if completion.refusal:
        yield chunk({"refusal": completion.refusal})
    for index, call in enumerate(completion.calls):
        yield chunk({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": {"name": call.name, "arguments": ""}}]})
        for piece in pieces_of(call.arguments):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, chat_finish(completion))
    if wants_usage:
        yield chunk(None, usage=chat_usage(completion))
    yield b"data: [DONE]\n\n"


# --- Messages, also in Bedrock's frames ------------------------------------------------------------------------------


def message_usage(completion: Completion) -> Json:
    fresh, read, write, output, reasoning = completion.usage
    return {
        "input_tokens": fresh,
        "cache_creation_input_tokens": write,
        "cache_read_input_tokens": read,
        "cache_creation": {"ephemeral_5m_input_tokens": write, "ephemeral_1h_input_tokens": 0},
        "output_tokens": output,
        "output_tokens_details": {"thinking_tokens": reasoning},
        "service_tier": "standard",
        "server_tool_use": None,
    }


def message_stop(completion: Completion) -> Json:
    if completion.refusal:
        return {"stop_reason": "refusal", "stop_sequence": None}
    if completion.stop == "end":
        return {"stop_reason": "tool_use" if completion.calls else "end_turn", "stop_sequence": None}
    if completion.stop == "sequence":
        return {"stop_reason": "stop_sequence", "stop_sequence": "STOP"}
    reasons = {"length": "max_tokens", "refusal": "refusal", "context": "model_context_window_exceeded"}
    return {"stop_reason": reasons[completion.stop], "stop_sequence": None}


def message_blocks(completion: Completion) -> Iterator[tuple[Json, Json, list[Json]]]:
    """Each block whole, its start, and its deltas."""
    if completion.thoughts:
        deltas = [{"type": "thinking_delta", "thinking": piece} for piece in completion.thoughts]
        deltas.append({"type": "signature_delta", "signature": SIGNATURE})
        block = {"type": "thinking", "thinking": "".join(completion.thoughts), "signature": SIGNATURE}
        yield block, {"type": "thinking", "thinking": "", "signature": ""}, deltas
    pieces = [*completion.pieces, *([completion.refusal] if completion.refusal else [])]
    if "".join(pieces):
        yield (
            {"type": "text", "text": "".join(pieces)},
            {"type": "text", "text": ""},
            [{"type": "text_delta", "text": piece} for piece in pieces],
        )
    for call in completion.calls:
        start = {"type": "tool_use", "id": call.id, "name": call.name, "input": {}}
        call_input = json.loads(call.arguments) if call.arguments else {}
        deltas = [{"type": "input_json_delta", "partial_json": piece} for piece in ["", *pieces_of(call.arguments)]]
        yield {**start, "input": call_input}, start, deltas


def message_whole(completion: Completion, model: str) -> Json:
    return {
        "id": "msg_upstream1",
        "type": "message",
        "role": "assistant",
        "model": model + "-2026",
        "content": [block for block, _, _ in message_blocks(completion)],
        **message_stop(completion),
        "usage": message_usage(completion),
    }


def message_events(completion: Completion, model: str) -> Iterator[Json]:
    usage = {**message_usage(completion), "output_tokens": 1}
    usage.pop("output_tokens_details")
    message = {**message_whole(completion, model), "content": [], "stop_reason": None, "stop_sequence": None, "usage": usage}
    yield {"type": "message_start", "message": message}
    for index, (_, start, deltas) in enumerate(message_blocks(completion)):
        yield {"type": "content_block_start", "index": index, "content_block": start}
        if index == 0:
            yield {"type": "ping"}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        if completion.breaks and start["type"] == "text":
            yield {"type": "error", "error": {"type": "overloaded_error", "message": "it broke"}}
            return
        yield {"type": "content_block_stop", "index": index}
    final_usage = message_usage(completion)
    for name in ("service_tier", "cache_creation"):
        final_usage.pop(name)
    yield {"type": "message_delta", "delta": message_stop(completion), "usage": final_usage}
    yield {"type": "message_stop"}


def frame(headers: Json, payload: bytes) -> bytes:
    """One frame of AWS's event stream."""
    head = b"".join(
        bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode() for name, value in headers.items()
    )
    prelude = struct.pack(">II", 16 + len(head) + len(payload), len(head))
    message = prelude + struct.pack(">I", zlib.crc32(prelude)) + head + payload
    return message + struct.pack(">I", zlib.crc32(message))


def bedrock_stream(completion: Completion, model: str) -> Iterator[bytes]:
    for value in message_events(completion, model):
        if value["type"] == "error":
            if completion.breaks == "error":
                kind = {":exception-type": "modelStreamErrorException", ":message-type": "exception"}
                yield frame({**kind, ":content-type": "application/json"}, b'{"message":"it broke"}')
            return
        metrics = {"amazon-bedrock-invocationMetrics": {"inputTokenCount": 1, "outputTokenCount": 1}}
        event_value = {**value, **metrics} if value["type"] == "message_stop" else value
        payload = {"bytes": base64.b64encode(json.dumps(event_value).encode()).decode(), "p": "abcd"}
        kind = {":event-type": "chunk", ":content-type": "application/json", ":message-type": "event"}
        yield frame(kind, json.dumps(payload).encode())


# --- Responses -------------------------------------------------------------------------------------------------------


def response_usage(completion: Completion) -> Json:
    fresh, read, write, output, reasoning = completion.usage
    return {
        "input_tokens": fresh + read + write,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": write},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": reasoning},
        "total_tokens": fresh + read + write + output,
    }


def response_items(completion: Completion) -> list[Json]:
    items: list[Json] = []
    if completion.thoughts:
        summary = [{"type": "summary_text", "text": "".join(completion.thoughts)}]
        items.append({"id": "rs_1", "type": "reasoning", "summary": summary, "encrypted_content": SEALED})
    parts: list[Json] = []
    if "".join(completion.pieces):
        parts.append({"type": "output_text", "text": "".join(completion.pieces), "annotations": [], "logprobs": []})
    if completion.refusal:
        parts.append({"type": "refusal", "refusal": completion.refusal})
    if parts:
        items.append({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": parts})
    items += [
        {
            "id": f"fc_{number}",
            "type": "function_call",
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments or "{}",
            "status": "completed",
        }
        for number, call in enumerate(completion.calls)
    ]
    return items


def response_whole(completion: Completion, body: Json) -> Json:
    reason = {"length": "max_output_tokens", "refusal": "content_filter", "context": "max_output_tokens"}.get(completion.stop)
    return {
        "id": "resp_upstream1",
        "object": "response",
        "created_at": 1790000000,
        "status": "incomplete" if reason else "completed",
        "error": None,
        "incomplete_details": {"reason": reason} if reason else None,
        "instructions": body.get("instructions"),
        "metadata": {},
        "model": body["model"] + "-2026",
        "output": response_items(completion),
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "top_p": 1.0,
        "tool_choice": body.get("tool_choice", "auto"),
        "tools": body.get("tools", []),
        "text": {"format": {"type": "text"}},
        "usage": response_usage(completion),
        "store": False,
        "service_tier": "default",
    }


def response_events(completion: Completion, body: Json) -> Iterator[Json]:
    final_response = response_whole(completion, body)
    running = {**final_response, "status": "in_progress", "output": [], "usage": None, "incomplete_details": None}
    yield {"type": "response.created", "response": running}
    yield {"type": "response.in_progress", "response": running}
    for index, item in enumerate(final_response["output"]):
        item_place = {"item_id": item["id"], "output_index": index}
        bare = {"reasoning": {"summary": []}, "message": {"content": []}, "function_call": {"arguments": ""}}[item["type"]]
        skeleton = {**item, **bare, **({"status": "in_progress"} if "status" in item else {})}
        yield {"type": "response.output_item.added", "output_index": index, "item": skeleton}
        if item["type"] == "reasoning":
            at = {**item_place, "summary_index": 0}
            part = item["summary"][0]
            yield {"type": "response.reasoning_summary_part.added", **at, "part": {**part, "text": ""}}
            for piece in completion.thoughts:
                yield {"type": "response.reasoning_summary_text.delta", **at, "delta": piece}
            yield {"type": "response.reasoning_summary_text.done", **at, "text": part["text"]}
            yield {"type": "response.reasoning_summary_part.done", **at, "part": part}
        elif item["type"] == "message":
            for number, part in enumerate(item["content"]):
                at = {**item_place, "content_index": number}
                kind, name = ("output_text", "text") if part["type"] == "output_text" else ("refusal", "refusal")
                yield {"type": "response.content_part.added", **at, "part": {**part, name: ""}}
                for piece in completion.pieces if kind == "output_text" else [completion.refusal]:
                    yield {"type": f"response.{kind}.delta", **at, "delta": piece}
                if completion.breaks == "error":
                    failed = {**running, "status": "failed", "error": {"code": "server_error", "message": "it broke"}}
                    yield {"type": "response.failed", "response": failed}
                    return
                if completion.breaks:
                    return
                yield {"type": f"response.{kind}.done", **at, name: part[name]}
                yield {"type": "response.content_part.done", **at, "part": part}
        else:
            for piece in pieces_of(item["arguments"]):
                yield {"type": "response.function_call_arguments.delta", **item_place, "delta": piece}
            final_fields = {"arguments": item["arguments"], "name": item["name"]}
            yield {"type": "response.function_call_arguments.done", **item_place, **final_fields}
        yield {"type": "response.output_item.done", "output_index": index, "item": item}
    yield {"type": f"response.{final_response['status']}", "response": final_response}


def named(events: Iterator[Json], *, numbered: bool = False) -> Iterator[bytes]:
    for number, value in enumerate(events):
        full = {**value, "sequence_number": number} if numbered else value
        yield b"event: %b\ndata: %b\n\n" % (value["type"].encode(), json.dumps(full, ensure_ascii=False).encode())

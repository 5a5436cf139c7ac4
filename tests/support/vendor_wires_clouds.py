"""What Google's generateContent and AWS's Converse answer, whole and streamed, made of a :class:`Completion`."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any

from tests.support.vendor_wires import SIGNATURE, Completion, Json, frame, pieces_of

CALL_SIGNATURE = base64.b64encode(b"the thought behind the call").decode()
"""What Google signs the first call of a step with."""


# --- generateContent -------------------------------------------------------------------------------------------------


def google_usage(completion: Completion) -> Json:
    """Google counts the cache in the prompt, and thoughts outside of the candidates."""
    fresh, read, write, output, reasoning = completion.usage
    return {
        "promptTokenCount": fresh + read + write,
        "cachedContentTokenCount": read,
        "candidatesTokenCount": output - reasoning,
        "thoughtsTokenCount": reasoning,
        "totalTokenCount": fresh + read + write + output,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": fresh + read + write}],
    }


def google_finish(completion: Completion) -> str:
    """The ``finishReason``."""
    if completion.refusal:
        return "SAFETY"
    return {"length": "MAX_TOKENS", "refusal": "SAFETY", "context": "MAX_TOKENS"}.get(completion.stop, "STOP")


def google_parts(completion: Completion) -> Iterator[Json]:
    """The parts in the pieces in which they are streamed."""
    for piece in completion.thoughts:
        yield {"text": piece, "thought": True}
    for piece in [*completion.pieces, *([completion.refusal] if completion.refusal else [])]:
        yield {"text": piece}
    for number, call in enumerate(completion.calls):
        args = json.loads(call.arguments) if call.arguments else {}
        signature = {"thoughtSignature": CALL_SIGNATURE} if completion.thoughts and number == 0 else {}
        yield {"functionCall": {"id": call.id, "name": call.name, "args": args}, **signature}


def google_whole(completion: Completion, *, shows_thoughts: bool) -> Json:
    """A whole response."""
    parts: list[Json] = []
    for part in google_parts(completion):
        if part.get("thought") and not shows_thoughts:
            continue
        if parts and "text" in part and "text" in parts[-1] and part.get("thought") == parts[-1].get("thought"):
            parts[-1] = {**parts[-1], "text": parts[-1]["text"] + part["text"]}
        else:
            parts.append(part)
    candidate = {"content": {"role": "model", "parts": parts}, "finishReason": google_finish(completion), "index": 0}
    return {
        "candidates": [candidate],
        "usageMetadata": google_usage(completion),
        "modelVersion": "gemini-3-pro-2026",
        "responseId": "google-1",
    }


def google_stream(completion: Completion, *, shows_thoughts: bool) -> Iterator[bytes]:
    """Chunks; the usage is in each of them, the finish reason in the last one."""

    def chunk(parts: list[Json], **fields: Any) -> bytes:
        candidate = {"content": {"role": "model", "parts": parts}, "index": 0, **fields}
        usage = google_usage(completion) if fields else {"promptTokenCount": 1, "totalTokenCount": 1}
        value = {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "gemini-3-pro-2026", "responseId": "google-1"}
        return b"data: " + json.dumps(value, ensure_ascii=False).encode() + b"\r\n\r\n"

    for part in google_parts(completion):
        if "functionCall" in part and completion.breaks:
            break
        if not part.get("thought") or shows_thoughts:
            yield chunk([part])
    if completion.breaks == "error":
        yield b"data: " + json.dumps({"error": {"code": 503, "message": "it broke", "status": "UNAVAILABLE"}}).encode() + b"\r\n\r\n"
    elif not completion.breaks:
        yield chunk([{"text": ""}], finishReason=google_finish(completion))


# --- Converse --------------------------------------------------------------------------------------------------------


def converse_usage(completion: Completion) -> Json:
    """The counters, which exclude one another."""
    fresh, read, write, output, _ = completion.usage
    return {
        "inputTokens": fresh,
        "outputTokens": output,
        "totalTokens": fresh + read + write + output,
        "cacheReadInputTokens": read,
        "cacheWriteInputTokens": write,
    }


def converse_stop(completion: Completion) -> str:
    """The ``stopReason``."""
    if completion.refusal:
        return "content_filtered"
    if completion.stop == "end":
        return "tool_use" if completion.calls else "end_turn"
    reasons = {"length": "max_tokens", "sequence": "stop_sequence", "refusal": "content_filtered"}
    return reasons.get(completion.stop, "model_context_window_exceeded")


def converse_blocks(completion: Completion) -> Iterator[tuple[Json, Json | None, list[Json]]]:
    """Each block whole, its start (only calls have one), and its deltas."""
    if completion.thoughts:
        deltas = [{"reasoningContent": {"text": piece}} for piece in completion.thoughts]
        deltas.append({"reasoningContent": {"signature": SIGNATURE}})
        text = {"text": "".join(completion.thoughts), "signature": SIGNATURE}
        yield {"reasoningContent": {"reasoningText": text}}, None, deltas
    pieces = [*completion.pieces, *([completion.refusal] if completion.refusal else [])]
    if "".join(pieces):
        yield {"text": "".join(pieces)}, None, [{"text": piece} for piece in pieces]
    for call in completion.calls:
        start = {"toolUseId": call.id, "name": call.name}
        call_input = json.loads(call.arguments) if call.arguments else {}
        deltas = [{"toolUse": {"input": piece}} for piece in pieces_of(call.arguments)]
        yield {"toolUse": {**start, "input": call_input}}, {"toolUse": start}, deltas


def converse_whole(completion: Completion) -> Json:
    """A whole response."""
    return {
        "output": {"message": {"role": "assistant", "content": [block for block, _, _ in converse_blocks(completion)]}},
        "stopReason": converse_stop(completion),
        "usage": converse_usage(completion),
        "metrics": {"latencyMs": 7},
    }


def converse_stream(completion: Completion) -> Iterator[bytes]:
    """Events; all of them have padding, as AWS adds it."""

    def event(name: str, value: Json) -> bytes:
        kind = {":event-type": name, ":content-type": "application/json", ":message-type": "event"}
        return frame(kind, json.dumps({**value, "p": "abcd"}, ensure_ascii=False).encode())

    yield event("messageStart", {"role": "assistant"})
    for index, (block, start, deltas) in enumerate(converse_blocks(completion)):
        if start is not None:
            yield event("contentBlockStart", {"start": start, "contentBlockIndex": index})
        for delta in deltas:
            yield event("contentBlockDelta", {"delta": delta, "contentBlockIndex": index})
        if completion.breaks and "text" in block:
            if completion.breaks == "error":
                kind = {":exception-type": "modelStreamErrorException", ":message-type": "exception"}
                yield frame({**kind, ":content-type": "application/json"}, b'{"message":"it broke"}')
            return
        yield event("contentBlockStop", {"contentBlockIndex": index})
    yield event("messageStop", {"stopReason": converse_stop(completion)})
    yield event("metadata", {"usage": converse_usage(completion), "metrics": {"latencyMs": 7}})

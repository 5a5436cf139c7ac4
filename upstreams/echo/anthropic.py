"""The echo upstream's Anthropic Messages side: decode requests; encode responses, streams and errors. Pure functions.

Field names and event order follow the public Messages API, version 2023-06-01.
"""

import base64
import hashlib
import json
from collections.abc import Iterator
from typing import Any

from upstreams.echo.directives import EchoError
from upstreams.echo.plan import Call, EchoRequest, EchoResponse, Stamp, Tool, Usage, split_characters, split_words
from upstreams.echo.wire import END, PIECE, Step, count_input, describe_base64, dicts, encode, limit, mapping, string, strings

MODEL = "echo-anthropic"
_STOP_REASONS = {
    "end": "end_turn",
    "tool": "tool_use",
    "sequence": "stop_sequence",
    "length": "max_tokens",
    "refusal": "refusal",
    "pause": "pause_turn",
    "context": "model_context_window_exceeded",
}
_ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_CHOICES = {"auto": "auto", "any": "any", "none": "none", "tool": "tool"}


def read(body: dict[str, Any]) -> EchoRequest:
    """Decode a Messages request. Raises EchoError (400) if a required field is missing."""
    messages = dicts(body.get("messages"))
    if not messages:
        raise EchoError(400, "messages: at least one message is required")
    if limit(body.get("max_tokens")) is None:
        raise EchoError(400, "max_tokens: Field required")
    blocks = _last_turn(messages)
    results = [block for block in blocks if block.get("type") == "tool_result"]
    texts = [string(block.get("text")) for block in blocks if block.get("type") == "text"]
    choice = mapping(body.get("tool_choice"))
    thinking = mapping(body.get("thinking"))
    format_ = mapping(mapping(body.get("output_config")).get("format")) or mapping(body.get("output_format"))
    return EchoRequest(
        model=string(body.get("model")),
        text=next((text for text in reversed(texts) if text.strip()), ""),
        media=tuple(_medium(block) for block in blocks if block.get("type") in ("image", "document")),
        results=tuple(_result_text(block) for block in results),
        tools=tuple(
            Tool(string(tool.get("name")), mapping(tool.get("input_schema")))
            for tool in dicts(body.get("tools"))
            if tool.get("type") in (None, "custom")
        ),
        choice=_CHOICES.get(string(choice.get("type")), "auto"),
        forced=string(choice.get("name")),
        parallel=choice.get("disable_parallel_tool_use") is not True,
        thinking=thinking.get("type") in ("enabled", "adaptive", "between_tools"),
        thinking_shown=thinking.get("display") != "omitted",
        schema=mapping(format_.get("schema")) if format_.get("type") == "json_schema" else None,
        max_tokens=limit(body.get("max_tokens")),
        stops=strings(body.get("stop_sequences")),
        stream=body.get("stream") is True,
        input_tokens=count_input(body),
    )


def reply(question: EchoRequest, answer: EchoResponse, *, stamp: Stamp) -> dict[str, Any]:
    """The complete response as a Messages object."""
    content: list[dict[str, Any]] = []
    if answer.thinking is not None:
        visible = answer.thinking if answer.thinking_shown else ""
        content.append({"type": "thinking", "thinking": visible, "signature": _signature(answer.thinking)})
    if answer.text:
        content.append({"type": "text", "text": "".join(answer.text), "citations": None})
    for index, call in enumerate(answer.calls):
        content.append(_tool_use(call, json.loads(call.arguments), call_id=_call_id(stamp.token, index)))
    return _message(question, stamp.token) | {
        "content": content,
        "stop_reason": _STOP_REASONS[answer.stop],
        "stop_sequence": answer.stop_sequence,
        "usage": _usage(answer.usage),
    }


def stream(question: EchoRequest, answer: EchoResponse, *, stamp: Stamp) -> Iterator[Step]:
    """The response as the steps of an event stream."""
    usage = _usage(answer.usage)
    yield _event("message_start", message=_message(question, stamp.token) | {"content": [], "usage": usage | {"output_tokens": 1}})
    yield _event("ping")
    index = 0
    if answer.thinking is not None:
        yield from _thinking_block(index, answer.thinking, visible=answer.thinking_shown)
        index += 1
    if answer.text:
        yield _event("content_block_start", index=index, content_block={"type": "text", "text": "", "citations": None})
        for piece in answer.text:
            yield _delta(index, {"type": "text_delta", "text": piece}, kind=PIECE)
        yield _event("content_block_stop", index=index)
        index += 1
    for number, call in enumerate(answer.calls):
        yield from _call_block(index, call, call_id=_call_id(stamp.token, number))
        index += 1
    delta = {
        "stop_reason": _STOP_REASONS[answer.stop],
        "stop_sequence": answer.stop_sequence,
        "stop_details": None,
        "container": None,
    }
    yield _event("message_delta", kind=END, delta=delta, usage=usage)
    yield _event("message_stop", kind=END)


def error(status: int, message: str, *, token: str) -> dict[str, Any]:
    """An error's body; the same object is the data of an `error` event in a stream."""
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": f"req_{token}"}


def error_step(status: int, message: str, *, token: str) -> Step:
    """The event that ends a stream with a failure."""
    return Step(b"event: error\ndata: " + encode(error(status, message, token=token)) + b"\n\n")


def models() -> dict[str, Any]:
    """The list of models."""
    model = {"type": "model", "id": MODEL, "display_name": "Echo", "created_at": "2026-01-01T00:00:00Z"}
    return {"data": [model], "has_more": False, "first_id": MODEL, "last_id": MODEL}


def headers(token: str) -> list[tuple[str, str]]:
    """The response headers that only this dialect has."""
    return [("request-id", f"req_{token}")]


def _last_turn(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The blocks of the user messages after the last assistant message; system messages between them are left out."""
    blocks: list[dict[str, Any]] = []
    for message in reversed(messages):
        if message.get("role") == "assistant":
            break
        if message.get("role") == "user":
            content = message.get("content")
            blocks = ([{"type": "text", "text": content}] if isinstance(content, str) else dicts(content)) + blocks
    return blocks


def _medium(block: dict[str, Any]) -> str:
    source = mapping(block.get("source"))
    if source.get("type") == "base64":
        return describe_base64(string(source.get("media_type")), source.get("data"))
    return string(source.get("url")) or string(source.get("file_id")) or string(source.get("media_type")) or string(block.get("type"))


def _result_text(block: dict[str, Any]) -> str:
    content = block.get("content")
    if isinstance(content, str):
        return content
    parts = dicts(content)
    return "\n".join(string(part.get("text")) if part.get("type") == "text" else f"[{_medium(part)}]" for part in parts)


def _message(question: EchoRequest, token: str) -> dict[str, Any]:
    return {
        "id": f"msg_{token}",
        "type": "message",
        "role": "assistant",
        "model": question.model,
        "stop_reason": None,
        "stop_sequence": None,
        "stop_details": None,
        "container": None,
    }


def _tool_use(call: Call, arguments: dict[str, Any], *, call_id: str) -> dict[str, Any]:
    return {"type": "tool_use", "id": call_id, "name": call.name, "input": arguments, "caller": {"type": "direct"}}


def _usage(usage: Usage | None) -> dict[str, Any]:
    usage = usage or Usage(fresh=0, output=0)
    return {
        "input_tokens": usage.fresh,
        "output_tokens": usage.output,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write, "ephemeral_1h_input_tokens": 0},
        "output_tokens_details": {"thinking_tokens": usage.thinking},
        "inference_geo": None,
        "server_tool_use": None,
        "service_tier": "standard",
    }


def _thinking_block(index: int, thinking: str, *, visible: bool) -> Iterator[Step]:
    yield _event("content_block_start", index=index, content_block={"type": "thinking", "thinking": "", "signature": ""})
    for piece in split_words(thinking) if visible else ():
        yield _delta(index, {"type": "thinking_delta", "thinking": piece}, kind=PIECE)
    yield _delta(index, {"type": "signature_delta", "signature": _signature(thinking)})
    yield _event("content_block_stop", index=index)


def _call_block(index: int, call: Call, *, call_id: str) -> Iterator[Step]:
    yield _event("content_block_start", index=index, content_block=_tool_use(call, {}, call_id=call_id))
    for piece in split_characters(call.arguments, size=12) if call.arguments != "{}" else ():
        yield _delta(index, {"type": "input_json_delta", "partial_json": piece}, kind=PIECE)
    yield _event("content_block_stop", index=index)


def _delta(index: int, delta: dict[str, Any], *, kind: str = "frame") -> Step:
    return _event("content_block_delta", kind=kind, index=index, delta=delta)


def _event(name: str, *, kind: str = "frame", **fields: Any) -> Step:
    return Step(b"event: " + name.encode() + b"\ndata: " + encode({"type": name, **fields}) + b"\n\n", kind)


def _signature(thinking: str) -> str:
    return base64.b64encode(hashlib.sha256(b"echo:" + thinking.encode(errors="replace")).digest()).decode()


def _call_id(token: str, index: int) -> str:
    return f"toolu_{token[:20]}{index:04}"

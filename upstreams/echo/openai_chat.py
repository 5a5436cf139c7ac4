"""The echo upstream's OpenAI Chat Completions side: decode requests; encode responses, streams and errors. Pure functions.

Field names and chunk order follow the public Chat Completions API; thinking is in `reasoning_content`, the field of
most compatible servers.
"""

from collections.abc import Iterator
from typing import Any

from upstreams.echo.directives import EchoError
from upstreams.echo.plan import Call, EchoRequest, EchoResponse, Stamp, Tool, Usage, split_characters, split_words
from upstreams.echo.wire import END, PIECE, Step, count_input, describe_base64, describe_url, dicts, encode, limit, mapping, string, strings

MODEL = "echo"
_FINISH_REASONS = {
    "end": "stop",
    "tool": "tool_calls",
    "sequence": "stop",
    "length": "length",
    "refusal": "content_filter",
    "pause": "stop",
    "context": "length",
}
_ERROR_TYPES = {401: "invalid_request_error", 429: "rate_limit_error"}
_ERROR_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded", 503: "overloaded", 529: "overloaded"}
_CHOICES = {"auto": "auto", "required": "any", "none": "none"}
_DONE = b"data: [DONE]\n\n"


def read(body: dict[str, Any]) -> EchoRequest:
    """Decode a Chat Completions request. Raises EchoError (400) if a required field is missing."""
    messages = dicts(body.get("messages"))
    if not messages:
        raise EchoError(400, "Missing required parameter: 'messages'.")
    parts, results = _last_turn(messages)
    texts = [string(part.get("text")) for part in parts if part.get("type") == "text"]
    choice, forced = _choice(body.get("tool_choice"))
    return EchoRequest(
        model=string(body.get("model")),
        text=next((text for text in reversed(texts) if text.strip()), ""),
        media=tuple(_medium(part) for part in parts if part.get("type") != "text"),
        results=tuple(results),
        tools=tuple(_tool(tool) for tool in dicts(body.get("tools"))),
        choice=choice,
        forced=forced,
        parallel=body.get("parallel_tool_calls") is not False,
        thinking=body.get("reasoning_effort") not in (None, "none"),
        schema=_schema(mapping(body.get("response_format"))),
        max_tokens=limit(body.get("max_completion_tokens")) or limit(body.get("max_tokens")),
        stops=strings(body.get("stop")),
        stream=body.get("stream") is True,
        stream_usage=mapping(body.get("stream_options")).get("include_usage") is True,
        input_tokens=count_input(body),
    )


def reply(question: EchoRequest, answer: EchoResponse, *, stamp: Stamp) -> dict[str, Any]:
    """The complete response as a `chat.completion`."""
    message: dict[str, Any] = {"role": "assistant", "content": "".join(answer.text) or (None if answer.calls else ""), "refusal": None}
    if answer.thinking is not None:
        message["reasoning_content"] = answer.thinking
    if answer.calls:
        message["tool_calls"] = [
            _call(call, call.arguments, call_id=_call_id(stamp.token, index)) for index, call in enumerate(answer.calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _FINISH_REASONS[answer.stop]}
    completion = _envelope("chat.completion", question, stamp) | {"choices": [choice]}
    return completion | {"usage": _usage(answer.usage)} if answer.usage else completion


def stream(question: EchoRequest, answer: EchoResponse, *, stamp: Stamp) -> Iterator[Step]:
    """The response as the steps of a stream of `chat.completion.chunk`s."""
    envelope = _envelope("chat.completion.chunk", question, stamp)
    with_usage = question.stream_usage and answer.usage is not None

    def chunk(delta: dict[str, Any], kind: str, finish: str | None = None) -> Step:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _data(envelope | {"choices": [choice]} | ({"usage": None} if with_usage else {}), kind)

    yield chunk({"role": "assistant", "content": ""}, "frame")
    for piece in split_words(answer.thinking or ""):
        yield chunk({"reasoning_content": piece}, PIECE)
    for piece in answer.text:
        yield chunk({"content": piece}, PIECE)
    for index, call in enumerate(answer.calls):
        yield chunk({"tool_calls": [{"index": index, **_call(call, "", call_id=_call_id(stamp.token, index))}]}, "frame")
        for piece in split_characters(call.arguments, size=12):
            fragment = {"custom": {"input": piece}} if call.free_form else {"function": {"arguments": piece}}
            yield chunk({"tool_calls": [{"index": index, **fragment}]}, PIECE)
    yield chunk({}, END, _FINISH_REASONS[answer.stop])
    if with_usage:
        yield _data(envelope | {"choices": [], "usage": _usage(answer.usage)}, END)
    yield Step(_DONE, END)


def error(status: int, message: str, *, token: str) -> dict[str, Any]:  # noqa: ARG001  (the dialects share one shape)
    """An error's body; the same object is the last data of a stream that fails."""
    kind = _ERROR_TYPES.get(status, "invalid_request_error" if status < 500 else "server_error")
    return {"error": {"message": message, "type": kind, "param": None, "code": _ERROR_CODES.get(status)}}


def error_step(status: int, message: str, *, token: str) -> Step:
    """The chunk that ends a stream with a failure."""
    return _data(error(status, message, token=token), "frame")


def models() -> dict[str, Any]:
    """The list of models."""
    return {"object": "list", "data": [{"id": MODEL, "object": "model", "created": 1767225600, "owned_by": "pxbin"}]}


def headers(token: str) -> list[tuple[str, str]]:
    """The response headers that only this dialect has."""
    return [("x-request-id", f"req_{token}")]


def _last_turn(messages: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], list[str]]:
    """The parts of the user messages after the last assistant message, and the texts of the tool messages there."""
    parts: list[dict[str, Any]] = []
    results: list[str] = []
    for message in reversed(messages):
        content = message.get("content")
        blocks = [{"type": "text", "text": content}] if isinstance(content, str) else dicts(content)
        if message.get("role") == "assistant":
            break
        if message.get("role") == "user":
            parts = blocks + parts
        elif message.get("role") in ("tool", "function"):
            results.insert(0, "\n".join(string(block.get("text")) for block in blocks))
    return parts, results


def _medium(part: dict[str, Any]) -> str:
    if part.get("type") == "image_url":
        return describe_url(string(mapping(part.get("image_url")).get("url")))
    if part.get("type") == "input_audio":
        audio = mapping(part.get("input_audio"))
        return describe_base64(f"audio/{string(audio.get('format'))}", audio.get("data"))
    file = mapping(part.get("file"))
    return describe_url(string(file.get("file_data"))) or string(file.get("file_id")) or string(part.get("type"))


def _tool(tool: dict[str, Any]) -> Tool:
    if tool.get("type") == "custom":
        return Tool(string(mapping(tool.get("custom")).get("name")), free_form=True)
    function = mapping(tool.get("function"))
    return Tool(string(function.get("name")), mapping(function.get("parameters")))


def _choice(raw: Any) -> tuple[str, str]:
    if isinstance(raw, dict) and raw.get("type") in ("function", "custom"):
        return "tool", string(mapping(raw.get(raw["type"])).get("name"))
    if isinstance(raw, dict) and raw.get("type") == "allowed_tools":
        raw = mapping(raw.get("allowed_tools")).get("mode")
    return _CHOICES.get(raw if isinstance(raw, str) else "", "auto"), ""


def _schema(format_: dict[str, Any]) -> dict[str, Any] | None:
    if format_.get("type") == "json_schema":
        return mapping(mapping(format_.get("json_schema")).get("schema"))
    return {} if format_.get("type") == "json_object" else None


def _envelope(kind: str, question: EchoRequest, stamp: Stamp) -> dict[str, Any]:
    return {"id": f"chatcmpl-{stamp.token}", "object": kind, "created": stamp.created, "model": question.model}


def _call(call: Call, arguments: str, *, call_id: str) -> dict[str, Any]:
    if call.free_form:
        return {"id": call_id, "type": "custom", "custom": {"name": call.name, "input": arguments}}
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": arguments}}


def _usage(usage: Usage | None) -> dict[str, Any] | None:
    if usage is None:
        return None
    prompt = usage.fresh + usage.cache_read + usage.cache_write
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output,
        "total_tokens": prompt + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": usage.thinking, "audio_tokens": 0},
    }


def _data(value: dict[str, Any], kind: str) -> Step:
    return Step(b"data: " + encode(value) + b"\n\n", kind)


def _call_id(token: str, index: int) -> str:
    return f"call_{token[:20]}{index:04}"

"""A whole answer for a chat client (sections 2.4 and 8)."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from proxy.translation import reasoning_seal
from proxy.translation.canonical import Citation, Part, Reasoning, Response, Text, ToolCall
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_chat.usage import encode_usage, finish_word, service_tier
from proxy.translation.dialects.openai_chat.wire_request import FAMILY


def encode_response(response: Response, reply: EncodeContext) -> bytes:
    """The ``chat.completion`` that a client reads."""
    message, refused = _message(response.parts, reply)
    logprobs = _logprobs(response.parts)
    body: dict[str, Any] = {
        "id": f"chatcmpl-{reply.id}",
        "object": "chat.completion",
        "created": reply.created,
        "model": reply.model,
        "choices": [{"index": 0, "message": message, "logprobs": logprobs, "finish_reason": finish_word(response.finish, refused=refused)}],
        "usage": encode_usage(response.usage),
    }
    if "function_call" in message and response.finish.reason == "tool_calls":
        body["choices"][0]["finish_reason"] = "function_call"
    tier = service_tier(response.usage)
    if tier is not None:
        body["service_tier"] = tier
    return msgspec.json.encode(body)


def _message(parts: tuple[Part, ...], reply: EncodeContext) -> tuple[dict[str, Any], bool]:
    """The message, and whether it holds a refusal."""
    texts = [part for part in parts if isinstance(part, Text)]
    refusal = "".join(part.text for part in texts if part.refusal)
    content, annotations = _content([part for part in texts if not part.refusal])
    message: dict[str, Any] = {"role": "assistant", "content": content or None, "refusal": refusal or None}
    _add_reasoning(message, [part for part in parts if isinstance(part, Reasoning)], reply.seal_key)
    if annotations:
        message["annotations"] = annotations
    calls = [_call(call, index, reply) for index, call in enumerate(part for part in parts if isinstance(part, ToolCall))]
    if calls and wants_legacy_calls(reply):
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    return message, bool(refusal)


def _content(texts: list[Text]) -> tuple[str, list[Any]]:
    """The texts as one, and their URL citations."""
    content, annotations = "", []
    for part in texts:
        start, content = len(content), content + part.text
        annotations += [annotation(citation, start, len(content)) for citation in part.citations if citation.url]
    return content, annotations


def _add_reasoning(message: dict[str, Any], thoughts: list[Reasoning], seal_key: bytes) -> None:
    visible = "\n\n".join(part.text for part in thoughts if part.text)
    if visible:
        message["reasoning_content"] = visible
    details = [detail for index, part in enumerate(thoughts) if (detail := reasoning_detail(part, index, seal_key))]
    if details:
        message["reasoning_details"] = details


def wants_legacy_calls(reply: EncodeContext) -> bool:
    """Whether the client offered ``functions`` rather than tools, and reads ``function_call`` only."""
    request = reply.request
    return request.family == FAMILY and "functions" in request.extra


def _call(call: ToolCall, index: int, reply: EncodeContext) -> dict[str, Any]:
    call_id = call.id or generated_call_id(reply, index)
    if call.kind == "custom" and not wants_legacy_calls(reply):
        return {"id": call_id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}


def generated_call_id(reply: EncodeContext, index: int) -> str:
    """The id of the ``index``-th call of a reply whose upstream gave it none."""
    return f"call_{hashlib.sha256(f'{reply.id}:{index}'.encode()).hexdigest()[:24]}"


def reasoning_detail(part: Reasoning, index: int, seal_key: bytes) -> dict[str, Any] | None:
    """The entry of ``reasoning_details`` that brings a provider's state back to us (section 11)."""
    if part.seal is None or part.seal.origin == FAMILY or not (part.text or any(part.seal.fields.values())):
        return None
    carrier = reasoning_seal.pack(part.seal, seal_key)
    if not part.text:
        return {"type": "reasoning.encrypted", "data": carrier, "index": index}
    return {"type": "reasoning.text", "text": part.text, "signature": carrier, "index": index}


def annotation(citation: Citation, start: int, end: int) -> Any:
    """A URL citation of the text from ``start`` to ``end``, or as chat wrote it."""
    if citation.dialect == FAMILY and citation.native:
        return citation.native
    if citation.start is not None and citation.end is not None:
        start, end = start + citation.start, start + citation.end
    cited = {"url": citation.url, "title": citation.title, "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": cited}


def _logprobs(parts: tuple[Part, ...]) -> dict[str, Any] | None:
    content = [each for part in parts if isinstance(part, Text) and not part.refusal for each in part.logprobs]
    refusal = [each for part in parts if isinstance(part, Text) and part.refusal for each in part.logprobs]
    return {"content": content or None, "refusal": refusal or None} if content or refusal else None

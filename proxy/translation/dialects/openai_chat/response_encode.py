"""Encodes a whole response for a Chat client (docs/wire-formats.md, sections 2.4 and 8)."""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from proxy.translation import reasoning_seal
from proxy.translation.canonical import Citation, Part, Reasoning, Response, Text, ToolCall
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_chat.finish_reasons import encode_finish_reason
from proxy.translation.dialects.openai_chat.native_fields import fields_of_message, fields_of_response
from proxy.translation.dialects.openai_chat.opaque_state import RestoredState
from proxy.translation.dialects.openai_chat.reasoning_place import Place, with_place
from proxy.translation.dialects.openai_chat.usage import encode_service_tier, encode_usage
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.dialects.refusals import explanation


def encode_response(response: Response, context: EncodeContext) -> bytes:
    """The ``chat.completion`` object."""
    message, refused = _encode_message(response.parts, context)
    message["refusal"] = message["refusal"] or explanation(response.finish) or None
    message |= fields_of_message(response.finish)
    logprobs = _encode_logprobs(response.parts)
    body: dict[str, Any] = {
        "id": f"chatcmpl-{context.id}",
        "object": "chat.completion",
        "created": context.created,
        "model": context.model,
        "choices": [
            {"index": 0, "message": message, "logprobs": logprobs, "finish_reason": encode_finish_reason(response.finish, refused=refused)}
        ],
        "usage": encode_usage(response.usage),
        **fields_of_response(response.finish),
    }
    if "function_call" in message and response.finish.reason == "tool_calls":
        body["choices"][0]["finish_reason"] = "function_call"
    tier = encode_service_tier(response.usage)
    if tier is not None:
        body["service_tier"] = tier
    return msgspec.json.encode(body)


def _encode_message(parts: tuple[Part, ...], context: EncodeContext) -> tuple[dict[str, Any], bool]:
    """The message, and whether it has a refusal."""
    texts = [part for part in parts if isinstance(part, Text)]
    refusal = "".join(part.text for part in texts if part.refusal)
    content, annotations = _join_texts([part for part in texts if not part.refusal])
    message: dict[str, Any] = {"role": "assistant", "content": content or None, "refusal": refusal or None}
    state = RestoredState(parts, None)
    _add_reasoning(message, parts, state, context.seal_key)
    if annotations:
        message["annotations"] = annotations
    calls = [
        _encode_call(call, index, context) | state.of_call(call, index)
        for index, call in enumerate(part for part in parts if isinstance(part, ToolCall))
    ]
    if calls and uses_legacy_calls(context):
        message["function_call"] = calls[0]["function"]
    elif calls:
        message["tool_calls"] = calls
    return message, bool(refusal)


def _join_texts(texts: list[Text]) -> tuple[str, list[Any]]:
    """The joined texts and the annotations of their URL citations."""
    content, annotations = "", []
    for part in texts:
        start, content = len(content), content + part.text
        annotations += [encode_annotation(citation, start, len(content)) for citation in part.citations if citation.url]
    return content, annotations


def _add_reasoning(message: dict[str, Any], parts: tuple[Part, ...], state: RestoredState, seal_key: bytes) -> None:
    reasoning = _with_places(parts)
    text = "\n\n".join(part.text for part, _ in reasoning if part.text)
    if text:
        message["reasoning_content"] = text
    details: list[Any] = [
        detail for index, (part, place) in enumerate(reasoning) if (detail := encode_reasoning_detail(part, index, place, seal_key))
    ]
    details += state.details
    if details:
        message["reasoning_details"] = details
    message |= state.message


def _with_places(parts: tuple[Part, ...]) -> list[tuple[Reasoning, Place]]:
    """The reasoning parts with their places."""
    reasoning: list[tuple[Reasoning, Place]] = []
    calls = characters = 0
    for part in parts:
        if isinstance(part, Reasoning):
            reasoning.append((part, (calls, characters)))
        elif isinstance(part, ToolCall):
            calls += 1
        elif isinstance(part, Text) and not part.refusal:
            characters += len(part.text)
    return reasoning


def uses_legacy_calls(context: EncodeContext) -> bool:
    """Whether the client sent ``functions``, the older form of ``tools``, and so expects ``function_call``."""
    request = context.request
    return request.family == FAMILY and "functions" in request.extra


def _encode_call(call: ToolCall, index: int, context: EncodeContext) -> dict[str, Any]:
    call_id = call.id or generate_call_id(context, index)
    if call.kind == "custom" and not uses_legacy_calls(context):
        return {"id": call_id, "type": "custom", "custom": {"name": call.name, "input": call.arguments}}
    return {"id": call_id, "type": "function", "function": {"name": call.name, "arguments": call.arguments or "{}"}}


def generate_call_id(context: EncodeContext, index: int) -> str:
    """The id for the ``index``-th call of a response if the upstream sent none."""
    return f"call_{hashlib.sha256(f'{context.id}:{index}'.encode()).hexdigest()[:24]}"


def encode_reasoning_detail(part: Reasoning, index: int, place: Place, seal_key: bytes) -> dict[str, Any] | None:
    """The entry of ``reasoning_details`` with the carrier of a part's seal (docs/wire-formats.md, section 11).

    ``None`` for a part without a seal, or with one that has no state.
    """
    if part.seal is None or part.seal.origin == FAMILY or not (part.text or any(part.seal.fields.values())):
        return None
    carrier = reasoning_seal.pack(with_place(part.seal, place), seal_key)
    if not part.text:
        return {"type": "reasoning.encrypted", "data": carrier, "index": index}
    return {"type": "reasoning.text", "text": part.text, "signature": carrier, "index": index}


def encode_annotation(citation: Citation, start: int, end: int) -> Any:
    """The annotation of a URL citation of the characters ``start`` to ``end``; that of a Chat upstream is passed on unchanged."""
    if citation.dialect == FAMILY and citation.native:
        return citation.native
    if citation.start is not None and citation.end is not None:
        start, end = start + citation.start, start + citation.end
    url_citation = {"url": citation.url, "title": citation.title, "start_index": start, "end_index": end}
    return {"type": "url_citation", "url_citation": url_citation}


def _encode_logprobs(parts: tuple[Part, ...]) -> dict[str, Any] | None:
    content = [entry for part in parts if isinstance(part, Text) and not part.refusal for entry in part.logprobs]
    refusal = [entry for part in parts if isinstance(part, Text) and part.refusal for entry in part.logprobs]
    return {"content": content or None, "refusal": refusal or None} if content or refusal else None

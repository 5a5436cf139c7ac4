"""Encodes the output items for a Responses client (docs/wire-formats.md, sections 3.3 and 8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Citation, Opaque, Part, Reasoning, Seal, Text, ToolCall
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.wire import DEFAULT_NAMESPACE, FAMILY
from proxy.translation.lone_surrogates import replace_lone_surrogates

ITEM_PREFIXES = {"message": "msg_", "function_call": "fc_", "custom_tool_call": "ctc_", "reasoning": "rs_"}


def encode_text_part(text: str, *, refusal: bool, annotations: list[Any], logprobs: list[Any]) -> dict[str, Any]:
    """A content part of a message."""
    if refusal:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs}


def encode_logprobs(logprobs: Iterable[Any]) -> list[dict[str, Any]]:
    """Log probabilities with all fields that the API has; Chat upstreams leave some of them out."""
    return [
        {**_encode_token(entry), "top_logprobs": list(map(_encode_token, _as_list(entry.get("top_logprobs"))))}
        for entry in logprobs
        if isinstance(entry, dict)
    ]


def _encode_token(entry: Any) -> dict[str, Any]:
    fields = entry if isinstance(entry, dict) else {}
    return {"token": fields.get("token") or "", "bytes": _as_list(fields.get("bytes")), "logprob": fields.get("logprob") or 0.0}


def _as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def encode_annotation(citation: Citation, text_length: int) -> Any:
    """The annotation of a citation; ``None`` for one without a URL.

    ``text_length``: the number of characters of the text so far, the end of a citation that has none.
    """
    if citation.dialect == FAMILY and citation.native != msgspec.Raw(b""):
        return citation.native
    if not citation.url:
        return None
    start = 0 if citation.start is None else citation.start
    end = text_length if citation.end is None else citation.end
    return {"type": "url_citation", "url": citation.url, "title": citation.title, "start_index": start, "end_index": end}


def encode_message(item_id: str, content: list[Any], status: str = "completed") -> dict[str, Any]:
    """A message item of the assistant."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


def encode_call(item_id: str, call: ToolCall, call_id: str, arguments: str, status: str = "completed") -> dict[str, Any]:
    """The item of a function call or of a custom tool call."""
    custom = call.kind == "custom"
    item = {
        "id": item_id,
        "type": "custom_tool_call" if custom else "function_call",
        "status": status,
        "call_id": call_id,
        "name": call.name,
    }
    item["input" if custom else "arguments"] = arguments
    if call.namespace not in ("", DEFAULT_NAMESPACE):
        item["namespace"] = call.namespace
    return item


def encode_reasoning(item_id: str, text: str, seal: Seal | None, seal_key: bytes) -> dict[str, Any]:
    """A reasoning item with the carrier of its seal as ``encrypted_content``."""
    item: dict[str, Any] = {"id": item_id, "type": "reasoning", "summary": encode_summary(text)}
    if seal is not None:
        item["encrypted_content"] = reasoning_seal.pack(seal, seal_key)
    return item


def encode_summary(text: str) -> list[dict[str, str]]:
    """The field ``summary``: one part, or none for an empty text."""
    return [{"type": "summary_text", "text": text}] if text else []


def encode_output(parts: tuple[Part, ...], context: EncodeContext) -> list[bytes]:
    """The JSON of the items of a whole response; consecutive texts are one message."""
    items: list[bytes] = []
    content: list[Any] = []

    def add_message() -> None:
        if content:
            items.append(json_wire.encode(encode_message(ids.item_id("msg_", context.id, len(items)), list(content))))
            content.clear()

    for part in parts:
        if isinstance(part, Text):
            if part.text or part.citations:
                content.append(_encode_whole_text(part))
            continue
        item = _encode_whole_item(part, context, len(items) + bool(content))
        if item is not None:
            add_message()
            items.append(json_wire.encode(item))
    add_message()
    return items


def _encode_whole_text(part: Text) -> dict[str, Any]:
    text_length = len(part.text)
    annotations = [encoded for encoded in (encode_annotation(citation, text_length) for citation in part.citations) if encoded is not None]
    return encode_text_part(part.text, refusal=part.refusal, annotations=annotations, logprobs=encode_logprobs(part.logprobs))


def _encode_whole_item(part: Part, context: EncodeContext, position: int) -> Any:
    if isinstance(part, ToolCall):
        prefix = ITEM_PREFIXES["custom_tool_call" if part.kind == "custom" else "function_call"]
        call_id = part.id or ids.item_id("call_", context.id, position)
        arguments = part.arguments if part.kind == "custom" else _valid_json(part.arguments)
        return encode_call(ids.item_id(prefix, context.id, position), part, call_id, non_empty_arguments(part.kind, arguments))
    if isinstance(part, Reasoning) and (part.text or part.seal):
        return encode_reasoning(ids.item_id("rs_", context.id, position), part.text, part.seal, context.seal_key)
    if isinstance(part, Opaque) and part.family == FAMILY:
        return part.native
    return None


def _valid_json(arguments: str) -> str:
    """Arguments as valid JSON text; invalid JSON becomes ``{"_raw_arguments": …}`` (docs/wire-formats.md, section 8.1).

    A stream sends fragments before it is known whether they are valid, so it sends them unchanged.
    """
    try:
        msgspec.json.decode(replace_lone_surrogates(arguments.encode(errors="replace") or b"{}"), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return json_wire.encode({"_raw_arguments": arguments}).decode()
    return arguments


def non_empty_arguments(kind: str, arguments: str) -> str:
    """The arguments; ``{}`` for a function call without any."""
    return arguments if arguments or kind == "custom" else "{}"

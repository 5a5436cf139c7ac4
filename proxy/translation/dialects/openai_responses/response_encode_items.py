"""The output items that a client gets (wire formats, sections 3.3 and 8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Citation, Opaque, Part, Reasoning, Seal, Text, ToolCall
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.wire import DEFAULT_NAMESPACE, FAMILY

ITEM_PREFIXES = {"message": "msg_", "function_call": "fc_", "custom_tool_call": "ctc_", "reasoning": "rs_"}


def text_part(text: str, *, refusal: bool, annotations: list[Any], logprobs: list[Any]) -> dict[str, Any]:
    """A content part of a message."""
    if refusal:
        return {"type": "refusal", "refusal": text}
    return {"type": "output_text", "text": text, "annotations": annotations, "logprobs": logprobs}


def told_logprobs(logprobs: Iterable[Any]) -> list[dict[str, Any]]:
    """Log probabilities with every field that this wire has; other upstreams leave some of them out."""
    return [
        {**_token(each), "top_logprobs": list(map(_token, _listed(each.get("top_logprobs"))))}
        for each in logprobs
        if isinstance(each, dict)
    ]


def _token(given: Any) -> dict[str, Any]:
    each = given if isinstance(given, dict) else {}
    return {"token": each.get("token") or "", "bytes": _listed(each.get("bytes")), "logprob": each.get("logprob") or 0.0}


def _listed(given: Any) -> list[Any]:
    return given if isinstance(given, list) else []


def annotation(citation: Citation, written: int) -> Any:
    """A citation as an annotation, ``None`` for one without a URL; ``written`` characters stand in the text so far."""
    if citation.dialect == FAMILY and citation.native != msgspec.Raw(b""):
        return citation.native
    if not citation.url:
        return None
    start = 0 if citation.start is None else citation.start
    end = written if citation.end is None else citation.end
    return {"type": "url_citation", "url": citation.url, "title": citation.title, "start_index": start, "end_index": end}


def message_item(item_id: str, content: list[Any], status: str = "completed") -> dict[str, Any]:
    """An assistant's message."""
    return {"id": item_id, "type": "message", "status": status, "role": "assistant", "content": content}


def call_item(item_id: str, call: ToolCall, call_id: str, arguments: str, status: str = "completed") -> dict[str, Any]:
    """A function call or a call of a custom tool."""
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


def reasoning_item(item_id: str, text: str, seal: Seal | None, seal_key: bytes) -> dict[str, Any]:
    """A reasoning item; the carrier takes the place of the vendor's encrypted content."""
    item: dict[str, Any] = {"id": item_id, "type": "reasoning", "summary": summary_parts(text)}
    if seal is not None:
        item["encrypted_content"] = reasoning_seal.pack(seal, seal_key)
    return item


def summary_parts(text: str) -> list[dict[str, str]]:
    """The summary of a reasoning text: one part, or none for no text."""
    return [{"type": "summary_text", "text": text}] if text else []


def output_items(parts: tuple[Part, ...], reply: EncodeContext) -> list[bytes]:
    """The items of a whole answer, encoded; a run of texts is one message."""
    items: list[bytes] = []
    run: list[Any] = []

    def close_run() -> None:
        if run:
            items.append(json_wire.encode(message_item(ids.make("msg_", reply.id, len(items)), list(run))))
            run.clear()

    for part in parts:
        if isinstance(part, Text):
            if part.text or part.citations:
                run.append(_whole_text(part))
            continue
        item = _whole_item(part, reply, len(items) + bool(run))
        if item is not None:
            close_run()
            items.append(json_wire.encode(item))
    close_run()
    return items


def _whole_text(part: Text) -> dict[str, Any]:
    written = len(part.text)
    annotations = [each for each in (annotation(citation, written) for citation in part.citations) if each is not None]
    return text_part(part.text, refusal=part.refusal, annotations=annotations, logprobs=told_logprobs(part.logprobs))


def _whole_item(part: Part, reply: EncodeContext, position: int) -> Any:
    if isinstance(part, ToolCall):
        prefix = ITEM_PREFIXES["custom_tool_call" if part.kind == "custom" else "function_call"]
        call_id = part.id or ids.make("call_", reply.id, position)
        arguments = part.arguments if part.kind == "custom" else _as_json(part.arguments)
        return call_item(ids.make(prefix, reply.id, position), part, call_id, whole_arguments(part.kind, arguments))
    if isinstance(part, Reasoning) and (part.text or part.seal):
        return reasoning_item(ids.make("rs_", reply.id, position), part.text, part.seal, reply.seal_key)
    if isinstance(part, Opaque) and part.family == FAMILY:
        return part.native
    return None


def _as_json(arguments: str) -> str:
    """Arguments as valid JSON text: words that are none are kept under ``_raw_arguments`` (wire formats, section 8.1).

    A stream has passed its fragments on before that can be known, so there they stay as the model wrote them.
    """
    try:
        msgspec.json.decode(json_wire.repaired(arguments.encode(errors="replace") or b"{}"), type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return json_wire.encode({"_raw_arguments": arguments}).decode()
    return arguments


def whole_arguments(kind: str, arguments: str) -> str:
    """Arguments as a client expects them: no arguments are an empty object."""
    return arguments if arguments or kind == "custom" else "{}"

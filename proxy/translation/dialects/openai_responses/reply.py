"""The response object that a client gets, and the items in it (wire formats, sections 3.3, 3.4 and 8)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Citation, Finish, Opaque, Part, Reasoning, Request, Seal, Text, ToolCall, Usage
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.items import CONTINUES, DEFAULT_NAMESPACE, FAMILY, KEEPS
from proxy.translation.dialects.openai_responses.usage import service_tier, usage_on_wire

_ECHO_DEFAULTS: dict[str, Any] = {
    "background": False,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
"""What a response tells of its request, and what it says where the request was silent."""

_OUR_OWN = frozenset({"background", "store", "service_tier", "previous_response_id"})
"""Told as they are at the gateway, not as they were asked for."""

_INCOMPLETE = {"length": "max_output_tokens", "context_window": "max_output_tokens", "refusal": "content_filter"}

ITEM_PREFIXES = {"message": "msg_", "function_call": "fc_", "custom_tool_call": "ctc_", "reasoning": "rs_"}


def echo(request: Request) -> dict[str, Any]:
    """The request's values in the client's own JSON."""
    given = request.extra if request.family == FAMILY else {}
    told = {name: default if name in _OUR_OWN else given.get(name, default) for name, default in _ECHO_DEFAULTS.items()}
    if CONTINUES in given:
        told["previous_response_id"] = given[CONTINUES]
    if KEEPS in given:
        told["store"] = True
    return told


class ReplyObject:
    """Writes the response object of one reply in its various states; what stays the same is encoded once."""

    def __init__(self, reply: EncodeContext) -> None:
        self._reply = reply
        head = {"id": ids.response(reply.id), "object": "response", "created_at": reply.created, "model": reply.model}
        self._head = json_wire.encode(head)[:-1]
        told = echo(reply.request)
        self._asked = json_wire.encode(told)[1:]

    def _write(
        self, status: str, *, output: bytes, usage: Any = None, error: Any = None, incomplete: Any = None, tier: str | None = None
    ) -> bytes:
        state = json_wire.encode({"status": status, "error": error, "incomplete_details": incomplete, "usage": usage})
        asked = self._asked
        if tier is not None:
            asked = json_wire.encode({**echo(self._reply.request), "service_tier": tier})[1:]
        return b'%b,%b,"output":%b,%b' % (self._head, state[1:-1], output, asked)

    def in_progress(self) -> bytes:
        """The object of ``response.created`` and ``response.in_progress``."""
        return self._write("in_progress", output=b"[]")

    def finished(self, output: list[bytes], finish: Finish, usage: Usage | None, *, refused: bool) -> tuple[str, bytes]:
        """The status and the object of a whole answer.

        ``refused``: the client reads the refusal in a part of its own; the response is complete then, as in the original.
        """
        reason = None if refused and finish.reason == "refusal" else _INCOMPLETE.get(finish.reason)
        status = "completed" if reason is None else "incomplete"
        counted = usage or Usage()
        body = self._write(
            status,
            output=_array(output),
            usage=usage_on_wire(counted),
            incomplete=None if reason is None else {"reason": reason},
            tier=service_tier(counted),
        )
        return status, body

    def failed(self, output: list[bytes], error: dict[str, Any], usage: Usage | None) -> bytes:
        """The object of ``response.failed``."""
        return self._write("failed", output=_array(output), error=error, usage=None if usage is None else usage_on_wire(usage))


def _array(items: list[bytes]) -> bytes:
    return b"[%b]" % b",".join(items)


# --- items -----------------------------------------------------------------------------------------------------------


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

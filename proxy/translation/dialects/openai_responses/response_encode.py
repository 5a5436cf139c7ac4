"""Encodes the response object for a Responses client (docs/wire-formats.md, sections 3.4 and 8)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Finish, Request, Response, Text, Usage
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_responses import compaction, ids
from proxy.translation.dialects.openai_responses.response_decode import has_refusal
from proxy.translation.dialects.openai_responses.response_encode_items import encode_output
from proxy.translation.dialects.openai_responses.usage import encode_service_tier, encode_usage
from proxy.translation.dialects.openai_responses.wire import FAMILY, PREVIOUS_ID_FIELD, STORED_FIELD
from proxy.translation.dialects.refusals import explanation

_ECHOED_DEFAULTS: dict[str, Any] = {
    "background": False,
    "frequency_penalty": 0.0,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "presence_penalty": 0.0,
    "previous_response_id": None,
    "prompt_cache_key": None,
    "reasoning": {"effort": None, "summary": None},
    "safety_identifier": None,
    "service_tier": "default",
    "store": False,
    "temperature": 1.0,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "user": None,
}
"""The fields of a request that its response echoes, with the value for a request without the field or with ``null``."""

_SET_BY_GATEWAY = frozenset({"background", "store", "service_tier", "previous_response_id"})
"""Echoed fields whose value the gateway decides, not the request."""

_ARRAY_DECODER = msgspec.json.Decoder(list[Raw])
_OBJECT_DECODER = msgspec.json.Decoder(dict[str, Raw])
_FUNCTION_DEFAULTS: dict[str, Any] = {"description": None, "parameters": None, "strict": True}
_INCOMPLETE = {"length": "max_output_tokens", "context_window": "max_output_tokens", "refusal": "content_filter"}


def encode_response(response: Response, context: EncodeContext) -> bytes:
    """The response object; that of a compaction has the compaction item alone."""
    is_compaction = compaction.is_compaction(context.request)
    parts = response.parts
    if explanation(response.finish) and not has_refusal(parts):
        parts = (*parts, Text(explanation(response.finish), refusal=True))
    items = [json_wire.encode(compaction.encode_item(response, context))] if is_compaction else encode_output(parts, context)
    return ResponseObject(context).finished(items, response.finish, response.usage, refused=has_refusal(response.parts))[1]


def echoed_fields(request: Request) -> dict[str, Any]:
    """The echoed fields; values of a Responses client are its own JSON."""
    extra = request.extra if request.family == FAMILY else {}
    fields = {name: default if name in _SET_BY_GATEWAY else _echoed(extra.get(name), default) for name, default in _ECHOED_DEFAULTS.items()}
    if isinstance(fields["tools"], Raw):
        fields["tools"] = [_complete_tool(tool) for tool in _ARRAY_DECODER.decode(fields["tools"])]
    if PREVIOUS_ID_FIELD in extra:
        fields["previous_response_id"] = extra[PREVIOUS_ID_FIELD]
    if STORED_FIELD in extra:
        fields["store"] = True
    return fields


def _echoed(value: Raw | None, default: Any) -> Any:
    """The client's value; an object has the members of ``default`` that it lacks, which are required in responses."""
    if value is None or bytes(value) == b"null":
        return default
    if isinstance(default, dict) and bytes(value).startswith(b"{"):
        return {**default, **_OBJECT_DECODER.decode(value)}
    return value


def _complete_tool(tool: Raw) -> Raw | dict[str, Any]:
    """A function with the members that are required in responses (``FunctionTool``); without ``strict`` a function is strict."""
    fields = _OBJECT_DECODER.decode(tool)
    if bytes(fields.get("type", b"")) != b'"function"' or all(name in fields for name in _FUNCTION_DEFAULTS):
        return tool
    return {**_FUNCTION_DEFAULTS, **fields}


class ResponseObject:
    """Encodes the response object of one request in its states. The members that are the same in all states are encoded once."""

    def __init__(self, context: EncodeContext) -> None:
        self._context = context
        head = {"id": ids.response_id(context.id), "object": "response", "created_at": context.created, "model": context.model}
        self._head = json_wire.encode(head)[:-1]
        echoed = echoed_fields(context.request)
        self._echoed = json_wire.encode(echoed)[1:]

    def _write(
        self, status: str, *, output: bytes, usage: Any = None, error: Any = None, incomplete: Any = None, tier: str | None = None
    ) -> bytes:
        completed_at = self._context.now() if status == "completed" else None
        state = json_wire.encode(
            {"completed_at": completed_at, "status": status, "error": error, "incomplete_details": incomplete, "usage": usage}
        )
        echoed = self._echoed
        if tier is not None:
            echoed = json_wire.encode({**echoed_fields(self._context.request), "service_tier": tier})[1:]
        return b'%b,%b,"output":%b,%b' % (self._head, state[1:-1], output, echoed)

    def in_progress(self) -> bytes:
        """The object of ``response.created`` and ``response.in_progress``."""
        return self._write("in_progress", output=b"[]")

    def finished(self, output: list[bytes], finish: Finish, usage: Usage | None, *, refused: bool) -> tuple[str, bytes]:
        """The status and the object of a finished response.

        ``refused``: the output has a ``refusal`` part; the API then ends with ``completed``, not ``incomplete``.
        """
        reason = None if refused and finish.reason == "refusal" else _INCOMPLETE.get(finish.reason)
        status = "completed" if reason is None else "incomplete"
        known_usage = usage or Usage()
        body = self._write(
            status,
            output=_array(output),
            usage=encode_usage(known_usage),
            incomplete=None if reason is None else {"reason": reason},
            tier=encode_service_tier(known_usage),
        )
        return status, body

    def failed(self, output: list[bytes], error: dict[str, Any], usage: Usage | None) -> bytes:
        """The object of ``response.failed``."""
        return self._write("failed", output=_array(output), error=error, usage=None if usage is None else encode_usage(usage))


def _array(items: list[bytes]) -> bytes:
    return b"[%b]" % b",".join(items)

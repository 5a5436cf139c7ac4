"""Encodes the response object for a Responses client (docs/wire-formats.md, sections 3.4 and 8)."""

from __future__ import annotations

from typing import Any

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
"""The fields of a request that its response echoes, with the value for a request without the field."""

_SET_BY_GATEWAY = frozenset({"background", "store", "service_tier", "previous_response_id"})
"""Echoed fields whose value the gateway decides, not the request."""

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
    fields = {name: default if name in _SET_BY_GATEWAY else extra.get(name, default) for name, default in _ECHOED_DEFAULTS.items()}
    if PREVIOUS_ID_FIELD in extra:
        fields["previous_response_id"] = extra[PREVIOUS_ID_FIELD]
    if STORED_FIELD in extra:
        fields["store"] = True
    return fields


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
        state = json_wire.encode({"status": status, "error": error, "incomplete_details": incomplete, "usage": usage})
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

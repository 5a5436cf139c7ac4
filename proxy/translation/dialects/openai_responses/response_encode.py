"""The response object that a client gets, and the items in it (wire formats, sections 3.3, 3.4 and 8)."""

from __future__ import annotations

from typing import Any

from proxy.translation import json_wire
from proxy.translation.canonical import Finish, Request, Response, Usage
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_responses import compaction, ids
from proxy.translation.dialects.openai_responses.response_decode import has_refusal
from proxy.translation.dialects.openai_responses.response_encode_items import output_items
from proxy.translation.dialects.openai_responses.usage import service_tier, usage_on_wire
from proxy.translation.dialects.openai_responses.wire import CONTINUES, FAMILY, KEEPS

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


def encode_response(response: Response, reply: EncodeContext) -> bytes:
    """The response object; the answer to a compaction request is its one item."""
    asked = compaction.is_asked(reply.request)
    items = [json_wire.encode(compaction.item(response, reply))] if asked else output_items(response.parts, reply)
    return ReplyObject(reply).finished(items, response.finish, response.usage, refused=has_refusal(response.parts))[1]


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

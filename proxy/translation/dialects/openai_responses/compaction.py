"""Compaction: a conversation is replaced by one opaque item. Codex requests it when its context is nearly full.

OpenAI's servers respond with an encrypted item. The gateway requests a summary as plain text from other upstreams. The client gets it
in the same opaque field, sealed like a reasoning carrier, and sends it back in its next requests, where it becomes a user message.

There are two requests for it:

- ``POST /v1/responses`` with a ``compaction_trigger`` item at the end of ``input``: the response has one ``compaction`` item.
- ``POST /v1/responses/compact``: the response has the user messages of the conversation and that item.
"""

from __future__ import annotations

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Request, Response, Seal, Text, ToolChoice, Usage
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.usage import encode_usage
from proxy.translation.dialects.openai_responses.wire import raw_items
from proxy.translation.errors import Failure, UpstreamFailed
from proxy.translation.json_wire import Envelope

COMPACTION_FIELD = "compaction_trigger"
"""Key in ``Request.extra`` of a request whose response is to be one compaction item."""

SUMMARY_INSTRUCTION = (
    "The conversation above is about to be replaced by a summary, because it has become too long. Write that summary now, for yourself: "
    "the goal and the user's instructions and preferences, what has been done and found out, the decisions and their reasons, "
    "the files, names, commands and values that are still needed, and what remains to be done next. "
    "Be complete and exact; answer with the summary alone and call no tools."
)

_INTRODUCTION = "The earlier part of this conversation was replaced by this summary of it:\n\n"
_ORIGIN = "compaction"
_TRIGGER = msgspec.Raw(b'{"type":"compaction_trigger"}')
_INPUT_DECODER = msgspec.json.Decoder(str | list[msgspec.Raw] | None)


class _Head(msgspec.Struct):
    type: str | None = None
    role: str | None = None


_HEAD_DECODER = msgspec.json.Decoder(_Head)


def pack_summary(summary: str, seal_key: bytes) -> str:
    """The value of ``encrypted_content`` that holds a summary."""
    return reasoning_seal.pack(Seal(_ORIGIN, "", {"text": summary}), seal_key)


def unpack_summary(field: str, seal_key: bytes) -> str | None:
    """The summary in a value of :func:`pack_summary`, after an introductory sentence; ``None`` for any other value."""
    seal = reasoning_seal.unpack(field, seal_key)
    if seal is None or seal.origin != _ORIGIN or "text" not in seal.fields:
        return None
    return _INTRODUCTION + seal.fields["text"]


def mark_compaction(request: Request) -> Request:
    """``request``, marked as a compaction; the model may call no tools."""
    choice = ToolChoice(mode="none") if request.tools else None
    extra = {**request.extra, COMPACTION_FIELD: msgspec.Raw(b"true")}
    return msgspec.structs.replace(request, tool_choice=choice, parallel_calls=None, output=None, extra=extra)


def is_compaction(request: Request) -> bool:
    """Whether the response to ``request`` is to be one compaction item."""
    return COMPACTION_FIELD in request.extra


def encode_item(response: Response, context: EncodeContext) -> dict[str, str]:
    """The compaction item with the text of a response; raises :class:`UpstreamFailed` if the response has no text."""
    summary = "".join(part.text for part in response.parts if isinstance(part, Text))
    if not summary:
        raise UpstreamFailed(
            Failure(kind="bad_gateway", message="The upstream response has no text for the summary of the conversation."), answered=True
        )
    return {"id": ids.item_id("cmp_", context.id, 0), "type": "compaction", "encrypted_content": pack_summary(summary, context.seal_key)}


# --- POST /v1/responses/compact --------------------------------------------------------------------------------------


def to_summary_request(envelope: Envelope) -> Envelope:
    """The request for the summary, made from the body of ``POST /v1/responses/compact``."""
    input_items = json_wire.decode(envelope.fields.get("input", msgspec.Raw(b"null")), _INPUT_DECODER, at="input")
    if isinstance(input_items, str):
        input_items = [msgspec.Raw(json_wire.encode({"type": "message", "role": "user", "content": input_items}))]
    fields = {**envelope.fields, "input": msgspec.Raw(json_wire.encode([*(input_items or ()), _TRIGGER]))}
    return Envelope(fields=fields, model=envelope.model)


def encode_compact_response(response: Response, context: EncodeContext, envelope: Envelope) -> bytes:
    """The response to ``POST /v1/responses/compact``: the user messages of the conversation unchanged, then the compaction item.

    ``envelope``: the client's, or that of :func:`to_summary_request`. Codex replaces its history by ``output``.
    """
    user_messages: list[dict[str, object]] = []
    for position, raw in enumerate(raw_items(envelope.fields["input"])):
        head = json_wire.decode(raw, _HEAD_DECODER, at=f"input.{position}")
        if head.role == "user" and head.type in (None, "message"):
            fields: dict[str, object] = dict(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
            user_messages.append({"id": ids.item_id("msg_", context.id, position + 1), "status": "completed", **fields, "type": "message"})
    return json_wire.encode(
        {
            "id": ids.response_id(context.id),
            "object": "response.compaction",
            "created_at": context.created,
            "output": [*user_messages, encode_item(response, context)],
            "usage": encode_usage(response.usage or Usage()),
        }
    )

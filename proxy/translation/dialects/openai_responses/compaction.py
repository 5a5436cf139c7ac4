"""Compaction: a long conversation folded into one opaque item (Codex asks for it when its context is nearly full).

OpenAI's servers answer with an encrypted item. Other upstreams are asked for a summary in plain words; it travels to the
client in the same opaque field, signed like a reasoning carrier, and comes back as a user message.

Two requests lead here: ``POST /v1/responses`` with a ``compaction_trigger`` item at the end of its input (answered with one
``compaction`` item), and ``POST /v1/responses/compact`` (answered with the conversation's user messages and that item).
"""

from __future__ import annotations

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Request, Response, Seal, Text, ToolChoice, Usage
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.openai_responses import ids
from proxy.translation.dialects.openai_responses.usage import usage_on_wire
from proxy.translation.dialects.openai_responses.wire import raw_items
from proxy.translation.errors import Failure, UpstreamFailed
from proxy.translation.json_wire import Envelope

MARK = "compaction_trigger"
"""Key in ``Request.extra`` of a request whose answer is to be one compaction item."""

REQUEST = (
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


def packed(summary: str, seal_key: bytes) -> str:
    """The opaque field that holds a summary."""
    return reasoning_seal.pack(Seal(_ORIGIN, "", {"text": summary}), seal_key)


def opened(field: str, seal_key: bytes) -> str | None:
    """The words of a summary that :func:`packed` made, with a sentence that introduces them; ``None`` for anything else."""
    seal = reasoning_seal.unpack(field, seal_key)
    if seal is None or seal.origin != _ORIGIN or "text" not in seal.fields:
        return None
    return _INTRODUCTION + seal.fields["text"]


def asked_for(request: Request) -> Request:
    """``request`` marked as one for a compaction: no tools may be called."""
    choice = ToolChoice(mode="none") if request.tools else None
    extra = {**request.extra, MARK: msgspec.Raw(b"true")}
    return msgspec.structs.replace(request, tool_choice=choice, parallel_calls=None, output=None, extra=extra)


def is_asked(request: Request) -> bool:
    """Whether the answer to ``request`` is to be one compaction item."""
    return MARK in request.extra


def item(response: Response, reply: EncodeContext) -> dict[str, str]:
    """The compaction item that holds an answer's text; raises :class:`UpstreamFailed` when there is none."""
    summary = "".join(part.text for part in response.parts if isinstance(part, Text))
    if not summary:
        raise UpstreamFailed(Failure(kind="bad_gateway", message="The upstream gave no summary of the conversation"), answered=True)
    return {"id": ids.make("cmp_", reply.id, 0), "type": "compaction", "encrypted_content": packed(summary, reply.seal_key)}


# --- POST /v1/responses/compact --------------------------------------------------------------------------------------


def as_request(envelope: Envelope) -> Envelope:
    """The body of a compact call, as the request for its summary; decode, adapt and encode it like any other."""
    given = json_wire.decode(envelope.fields.get("input", msgspec.Raw(b"null")), _INPUT_DECODER, at="input")
    if isinstance(given, str):
        given = [msgspec.Raw(json_wire.encode({"type": "message", "role": "user", "content": given}))]
    fields = {**envelope.fields, "input": msgspec.Raw(json_wire.encode([*(given or ()), _TRIGGER]))}
    return Envelope(fields=fields, model=envelope.model)


def compact_reply(response: Response, reply: EncodeContext, envelope: Envelope) -> bytes:
    """The answer to a compact call: the conversation's user messages as they were, then the compaction item.

    ``envelope`` is the client's, or what :func:`as_request` made of it. Codex replaces its history by ``output``.
    """
    kept: list[dict[str, object]] = []
    for position, raw in enumerate(raw_items(envelope.fields["input"])):
        head = json_wire.decode(raw, _HEAD_DECODER, at=f"input.{position}")
        if head.role == "user" and head.type in (None, "message"):
            fields: dict[str, object] = dict(msgspec.json.decode(raw, type=dict[str, msgspec.Raw]))
            kept.append({"id": ids.make("msg_", reply.id, position + 1), "status": "completed", **fields, "type": "message"})
    return json_wire.encode(
        {
            "id": ids.response(reply.id),
            "object": "response.compaction",
            "created_at": reply.created,
            "output": [*kept, item(response, reply)],
            "usage": usage_on_wire(response.usage or Usage()),
        }
    )

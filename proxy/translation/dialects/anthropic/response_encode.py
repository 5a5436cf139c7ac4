"""A canonical response as a Messages response object."""

from __future__ import annotations

from typing import Any

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Opaque, Part, Reasoning, Response, Seal, Text, ToolCall
from proxy.translation.dialects.anthropic import usage as usage_wire
from proxy.translation.dialects.anthropic.ids import CallIds
from proxy.translation.dialects.anthropic.stop_reasons import encode_finish
from proxy.translation.dialects.anthropic.tool_arguments import tool_input
from proxy.translation.dialects.anthropic.wire import FAMILY, OBJECT
from proxy.translation.dialects.base import EncodeContext


def encode_response(response: Response, reply: EncodeContext) -> bytes:
    """The reply object for a client of this dialect."""
    ids = CallIds(reply.id)
    blocks = (encode_part(part, index, reply=reply, ids=ids) for index, part in enumerate(response.parts))
    ended = encode_finish(response.finish)
    return json_wire.encode(
        {
            "id": f"msg_{reply.id}",
            "type": "message",
            "role": "assistant",
            "model": reply.model,
            "content": [block for block in blocks if block is not None],
            **ended,
            "usage": usage_wire.encode(response.usage),
        }
    )


def encode_part(part: Part, index: int, *, reply: EncodeContext, ids: CallIds) -> dict[str, Any] | None:
    """One content block; ``None`` for what this dialect does not show: empty text, blocks of another family, media."""
    if isinstance(part, Text):
        return _text_block(part) if part.text else None
    if isinstance(part, ToolCall):
        return {"type": "tool_use", "id": ids.legal(part.id, index), "name": part.name, "input": tool_input(part.arguments)}
    if isinstance(part, Reasoning):
        return thinking_block(part, reply)
    if isinstance(part, Opaque) and part.family == FAMILY:
        return dict(OBJECT.decode(part.native))
    return None


def _text_block(part: Text) -> dict[str, Any]:
    native = [citation.native for citation in part.citations if citation.dialect == FAMILY]
    return {"type": "text", "text": part.text, **({"citations": native} if native else {})}


def shows_thinking(reply: EncodeContext) -> bool:
    """Whether the client wants to read the thinking (``thinking.display``)."""
    asked = reply.request.reasoning
    return asked is None or asked.display != "omitted"


def thinking_block(part: Reasoning, reply: EncodeContext) -> dict[str, Any] | None:
    """A whole thinking block; ``None`` where there is neither text nor state. Native text is shown as the upstream sent it."""
    seal = part.seal
    if seal is not None and seal.origin == FAMILY:
        if "redacted" in seal.fields:
            return {"type": "redacted_thinking", "data": seal.fields["redacted"]}
        return {"type": "thinking", "thinking": part.text, "signature": signature(seal, reply)}
    if part.text:
        shown = shows_thinking(reply)
        withheld = "" if shown else part.text
        return {"type": "thinking", "thinking": part.text if shown else "", "signature": signature(seal, reply, withheld=withheld)}
    if seal is not None and seal.fields:
        return {"type": "redacted_thinking", "data": signature(seal, reply)}
    return None


def signature(seal: Seal | None, reply: EncodeContext, *, withheld: str = "") -> str:
    """The native signature, or our carrier for another provider's state and for the text that the client does not see."""
    if seal is None:
        return ""
    if seal.origin == FAMILY:
        return seal.fields.get("signature", "")
    if withheld:
        seal = Seal(seal.origin, seal.upstream, {**seal.fields, "text": withheld})
    return reasoning_seal.pack(seal, reply.seal_key)

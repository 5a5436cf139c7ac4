"""Canonical responses to Messages response objects (docs/wire-formats.md, sections 1.5 and 8)."""

from __future__ import annotations

from typing import Any

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Opaque, Part, Reasoning, Response, Seal, Text, ToolCall
from proxy.translation.dialects.anthropic import usage as usage_wire
from proxy.translation.dialects.anthropic.citations import encode_citation
from proxy.translation.dialects.anthropic.ids import CallIds
from proxy.translation.dialects.anthropic.stop_reasons import encode_finish, message_fields
from proxy.translation.dialects.anthropic.tool_arguments import encode_arguments
from proxy.translation.dialects.anthropic.wire import DIRECT_CALLER, FAMILY, OBJECT
from proxy.translation.dialects.base import EncodeContext


def encode_response(response: Response, context: EncodeContext) -> bytes:
    """The response object for a client of this dialect."""
    ids = CallIds(context.id)
    blocks = (encode_part(part, index, context=context, ids=ids) for index, part in enumerate(response.parts))
    return json_wire.encode(
        {
            "id": f"msg_{context.id}",
            "type": "message",
            "role": "assistant",
            "model": context.model,
            "content": [block for block in blocks if block is not None],
            **encode_finish(response.finish),
            **message_fields(response.finish),
            "usage": usage_wire.encode_usage(response.usage),
        }
    )


def encode_part(part: Part, index: int, *, context: EncodeContext, ids: CallIds) -> dict[str, Any] | None:
    """One content block; ``None`` for parts that this dialect cannot express: empty text, blocks of another family, media."""
    if isinstance(part, Text):
        return _text_block(part) if part.text else None
    if isinstance(part, ToolCall):
        # A call of a free-form tool, which this dialect does not have: its text becomes an object.
        arguments = {"input": part.arguments} if part.kind == "custom" else encode_arguments(part.arguments)
        return tool_use(ids.assign(part.id, index), part.name, arguments, part.native)
    if isinstance(part, Reasoning):
        return encode_thinking(part, context)
    if isinstance(part, Opaque) and part.family == FAMILY:
        return dict(OBJECT.decode(part.native))
    return None


def tool_use(call_id: str, name: str, arguments: Any, native: dict[str, Any]) -> dict[str, Any]:
    """A ``tool_use`` block; ``caller`` is required in responses (``ToolUseBlock``). ``native``: the call's own fields."""
    return {"type": "tool_use", "id": call_id, "name": name, "input": arguments, "caller": DIRECT_CALLER, **native}


def text_block(text: str, citations: list[Any]) -> dict[str, Any]:
    """A ``text`` block; ``citations`` is required in responses (``TextBlock``), and ``null`` without any."""
    return {"type": "text", "text": text, "citations": citations or None}


def _text_block(part: Text) -> dict[str, Any]:
    return text_block(part.text, [encoded for citation in part.citations if (encoded := encode_citation(citation)) is not None])


def shows_thinking(context: EncodeContext) -> bool:
    """Whether the client gets the text of the thinking: ``thinking.display`` is not ``omitted``."""
    setting = context.request.reasoning
    return setting is None or setting.display != "omitted"


def encode_thinking(part: Reasoning, context: EncodeContext) -> dict[str, Any] | None:
    """A whole thinking block; ``None`` if the part has neither text nor a seal.

    Thinking of this family keeps the text that the upstream sent: its signature covers it. Other thinking follows
    ``thinking.display``; text that is not shown travels in the carrier.
    """
    seal = part.seal
    if seal is not None and seal.origin == FAMILY:
        if "redacted" in seal.fields:
            return {"type": "redacted_thinking", "data": seal.fields["redacted"]}
        return {"type": "thinking", "thinking": part.text, "signature": encode_signature(seal, context)}
    if part.text:
        is_shown = shows_thinking(context)
        withheld = "" if is_shown else part.text
        return {
            "type": "thinking",
            "thinking": part.text if is_shown else "",
            "signature": encode_signature(seal, context, withheld=withheld),
        }
    if seal is not None and seal.fields:
        return {"type": "redacted_thinking", "data": encode_signature(seal, context)}
    return None


def encode_signature(seal: Seal | None, context: EncodeContext, *, withheld: str = "") -> str:
    """The signature of this family, or a carrier with the seal of another one and with ``withheld``, the text that is not shown."""
    if seal is None:
        return ""
    if seal.origin == FAMILY:
        return seal.fields.get("signature", "")
    if withheld:
        seal = Seal(seal.origin, seal.upstream, {**seal.fields, "text": withheld})
    return reasoning_seal.pack(seal, context.seal_key)

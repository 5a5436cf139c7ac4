"""Canonical responses to Converse responses (docs/wire-formats.md, section 17.6)."""

from __future__ import annotations

from typing import Any

from proxy.translation import json_wire
from proxy.translation.canonical import Opaque, Part, Reasoning, Response, Text, ToolCall
from proxy.translation.dialects.anthropic.ids import CallIds
from proxy.translation.dialects.anthropic.tool_arguments import encode_arguments
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.bedrock_converse.citations import encode_citation
from proxy.translation.dialects.bedrock_converse.seals import encode_reasoning
from proxy.translation.dialects.bedrock_converse.stop_reasons import encode_finish
from proxy.translation.dialects.bedrock_converse.usage import encode_usage
from proxy.translation.dialects.bedrock_converse.wire import FAMILY, OBJECT


def encode_response(response: Response, context: EncodeContext) -> bytes:
    """The response object for a client of this dialect."""
    ids = CallIds(context.id)
    blocks = (_encode_part(part, index, context=context, ids=ids) for index, part in enumerate(response.parts))
    message = {"role": "assistant", "content": [block for block in blocks if block is not None]}
    return json_wire.encode(
        {
            "output": {"message": message},
            "stopReason": encode_finish(response.finish),
            "usage": encode_usage(response.usage),
            "metrics": metrics(context),
        }
    )


def metrics(context: EncodeContext) -> dict[str, int]:
    """The time since the request came."""
    return {"latencyMs": max(0, context.now() - context.created) * 1000}


def _encode_part(part: Part, index: int, *, context: EncodeContext, ids: CallIds) -> dict[str, Any] | None:
    """One block; ``None`` for parts that the API cannot express."""
    if isinstance(part, Text):
        return _encode_text(part) if part.text else None
    if isinstance(part, ToolCall):
        arguments = {"input": part.arguments} if part.kind == "custom" else encode_arguments(part.arguments)
        return {"toolUse": {"toolUseId": ids.assign(part.id, index), "name": part.name, "input": arguments}}
    if isinstance(part, Reasoning):
        content = encode_reasoning(part, context.seal_key)
        return None if content is None else {"reasoningContent": content}
    if isinstance(part, Opaque) and part.family == FAMILY:
        return dict(OBJECT.decode(part.native))
    return None


def _encode_text(part: Text) -> dict[str, Any]:
    citations = [encoded for citation in part.citations if (encoded := encode_citation(citation)) is not None]
    return {"citationsContent": {"content": [{"text": part.text}], "citations": citations}} if citations else {"text": part.text}

"""The whole answer: read from an Anthropic upstream, written for a client of this dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Finish, FinishReason, Opaque, Part, Reasoning, Response, Seal, Text, ToolCall, settled
from proxy.translation.dialects.anthropic import usage as usage_wire
from proxy.translation.dialects.anthropic.blocks import MAPPED, Block, present, read_block, words
from proxy.translation.dialects.anthropic.errors import read_error
from proxy.translation.dialects.anthropic.ids import CallIds
from proxy.translation.dialects.anthropic.parts import FAMILY, citations
from proxy.translation.dialects.anthropic.turns import tool_input
from proxy.translation.dialects.anthropic.usage import WireUsage
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.lenient_json import decode_leniently
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed
from proxy.translation.quirks import Quirks

REASONS: dict[str, FinishReason] = {
    "end_turn": "end",
    "stop_sequence": "stop_sequence",
    "tool_use": "tool_calls",
    "max_tokens": "length",
    "model_context_window_exceeded": "context_window",
    "refusal": "refusal",
    "pause_turn": "pause",
    "compaction": "compaction",
}
STOP_REASONS = {reason: word for word, reason in REASONS.items()}


class _Message(msgspec.Struct):
    id: str = ""
    model: str = ""
    type: str | None = None
    content: str | list[Raw] | None = None
    stop_reason: str | None = None
    stop_sequence: str | None = None
    stop_details: dict[str, Any] | None = None
    usage: WireUsage | None = None
    error: Any = None


_MESSAGE = msgspec.json.Decoder(_Message)
_OBJECT = msgspec.json.Decoder(dict[str, Raw])
_STRING = msgspec.json.Decoder(str)


# --- decode ----------------------------------------------------------------------------------------------------------


def decode_response(body: bytes, quirks: Quirks) -> Response:  # noqa: ARG001 -- every dialect's decoder takes the quirks
    """Raises :class:`UpstreamFailed` for an error object and for what is no message."""
    try:
        message = _read(body)
        if message.content is None and (message.type == "error" or message.error is not None):
            words_, _, details = read_error({"error": message.error})
            raise _unreadable(words_ or "The upstream answered with an error", details)
        if message.content is None and message.type != "message":
            raise _unreadable("The upstream's answer holds no message")
        parts = _parts(message.content)
    except ClientMistake as error:
        where = f" ({error.failure.param})" if error.failure.param else ""
        raise _unreadable(f"The upstream's answer is not a message that can be read{where}") from None
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    return Response(
        id=message.id,
        model=message.model,
        parts=parts,
        finish=finish(message.stop_reason, message.stop_sequence, message.stop_details, has_calls=has_calls),
        usage=message.usage.canonical() if message.usage is not None else None,
    )


def _read(body: bytes) -> _Message:
    try:
        return _MESSAGE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode_leniently(body, _MESSAGE)


def _unreadable(message: str, details: dict[str, Any] | None = None) -> UpstreamFailed:
    return UpstreamFailed(Failure(kind="bad_gateway", message=message, details=details), answered=True)


def finish(reason: str | None, sequence: str | None, details: dict[str, Any] | None, *, has_calls: bool) -> Finish:
    """The canonical finish; an unknown reason is an ordinary end."""
    known = REASONS.get(reason or "", "end")
    return settled(Finish(reason=known, stop_sequence=sequence, details=details), has_calls=has_calls)


def _parts(content: str | list[Raw] | None) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts: list[Part] = []
    used: set[str] = set()
    for index, raw in enumerate(content or ()):
        part = reply_part(read_block(raw, at=f"content.{index}"), raw)
        if isinstance(part, ToolCall):
            part = unrepeated(part, used)
        if part is not None:
            parts.append(part)
    return tuple(parts)


def unrepeated(call: ToolCall, used: set[str]) -> ToolCall:
    """``call`` without its id if an earlier call of the reply has the same."""
    if call.id in used:
        return msgspec.structs.replace(call, id="")
    used.add(call.id)
    return call


def reply_part(block: Block, raw: Raw) -> Part | None:
    """The part of one whole block; ``None`` for text without words. Raises :class:`ClientMistake` for nonsense."""
    if block.type not in MAPPED or block.type not in _READERS:
        return Opaque(FAMILY, block.type, raw, words(raw), history=True)
    return _READERS[block.type](block)


def _read_text(block: Block) -> Part | None:
    cited = citations(block.citations, at="citations") if block.citations else ()
    return Text(block.text, citations=cited) if block.text else None


def _read_thinking(block: Block) -> Part:
    return Reasoning(block.thinking or "", Seal(FAMILY, FAMILY, {"signature": block.signature or ""}))


def _read_redacted(block: Block) -> Part:
    return Reasoning("", Seal(FAMILY, FAMILY, {"redacted": block.data or ""}))


def _read_call(block: Block) -> Part:
    return ToolCall(block.id or "", block.name or "", told_arguments(block.input))


def told_arguments(raw: Raw) -> str:
    """The arguments of a call in a reply; servers that only speak like Anthropic write them as text, or as something else."""
    if bytes(raw).startswith(b'"'):
        return str(json_wire.decode(raw, _STRING, at="input")) or "{}"
    return json_wire.compact(raw) if present(raw) else "{}"


_READERS: dict[str, Callable[[Block], Part | None]] = {
    "text": _read_text,
    "thinking": _read_thinking,
    "redacted_thinking": _read_redacted,
    "tool_use": _read_call,
}


# --- encode ----------------------------------------------------------------------------------------------------------


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


def encode_finish(finish_: Finish) -> dict[str, Any]:
    """``stop_reason``, ``stop_sequence`` and ``stop_details``."""
    return {"stop_reason": STOP_REASONS[finish_.reason], "stop_sequence": finish_.stop_sequence, "stop_details": finish_.details}


def encode_part(part: Part, index: int, *, reply: EncodeContext, ids: CallIds) -> dict[str, Any] | None:
    """One content block; ``None`` for what this dialect does not show: empty text, blocks of another family, media."""
    if isinstance(part, Text):
        return _text_block(part) if part.text else None
    if isinstance(part, ToolCall):
        return {"type": "tool_use", "id": ids.legal(part.id, index), "name": part.name, "input": tool_input(part.arguments)}
    if isinstance(part, Reasoning):
        return thinking_block(part, reply)
    if isinstance(part, Opaque) and part.family == FAMILY:
        return dict(_OBJECT.decode(part.native))
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


# --- patch -----------------------------------------------------------------------------------------------------------


def patch_response(body: bytes, model: str) -> bytes:
    """The upstream's own body under the client's name for the model; what is no object goes as it came."""
    try:
        fields = _OBJECT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    if "model" not in fields:
        return body
    return json_wire.encode(fields | {"model": Raw(json_wire.encode(model))})

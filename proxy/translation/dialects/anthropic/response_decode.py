"""Messages response objects to canonical responses (docs/wire-formats.md, sections 1.5 and 8)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation.canonical import Opaque, Part, Reasoning, Response, Seal, Text, ToolCall
from proxy.translation.dialects.anthropic.citations import decode_citations
from proxy.translation.dialects.anthropic.errors import read_error
from proxy.translation.dialects.anthropic.stop_reasons import decode_finish, native_of_message
from proxy.translation.dialects.anthropic.tool_arguments import decode_response_arguments
from proxy.translation.dialects.anthropic.usage import WireUsage
from proxy.translation.dialects.anthropic.wire import FAMILY, MAPPED_TYPES, Block, native_fields, read_block, readable_text
from proxy.translation.dialects.lenient_json import decode_leniently
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed
from proxy.translation.quirks import Quirks


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
    container: Any = None
    context_management: Any = None
    diagnostics: Any = None
    input_transformations: Any = None


_MESSAGE = msgspec.json.Decoder(_Message)


def decode_response(body: bytes, quirks: Quirks) -> Response:  # noqa: ARG001 -- every dialect's decoder takes the quirks
    """Raises :class:`UpstreamFailed` for an error object and for anything else that is not a message."""
    try:
        message = _decode_message(body)
        if message.content is None and (message.type == "error" or message.error is not None):
            text, _, details = read_error({"error": message.error})
            raise _bad_gateway(text or "The upstream sent an error with status 200", details)
        if message.content is None and message.type != "message":
            raise _bad_gateway("The upstream response is not a message")
        parts = _decode_parts(message.content)
    except ClientMistake as error:
        where = f" ({error.failure.param})" if error.failure.param else ""
        raise _bad_gateway(f"The upstream response is not a valid message{where}") from None
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    return Response(
        id=message.id,
        model=message.model,
        parts=parts,
        finish=decode_finish(
            message.stop_reason, message.stop_sequence, message.stop_details, has_calls=has_calls, native=native_of_message(message)
        ),
        usage=message.usage.to_canonical() if message.usage is not None else None,
    )


def _decode_message(body: bytes) -> _Message:
    try:
        return _MESSAGE.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return decode_leniently(body, _MESSAGE)


def _bad_gateway(message: str, details: dict[str, Any] | None = None) -> UpstreamFailed:
    return UpstreamFailed(Failure(kind="bad_gateway", message=message, details=details), answered=True)


def _decode_parts(content: str | list[Raw] | None) -> tuple[Part, ...]:
    if isinstance(content, str):
        return (Text(content),) if content else ()
    parts: list[Part] = []
    seen_ids: set[str] = set()
    for index, raw in enumerate(content or ()):
        part = decode_part(read_block(raw, at=f"content.{index}"), raw)
        if isinstance(part, ToolCall):
            part = without_repeated_id(part, seen_ids)
        if part is not None:
            parts.append(part)
    return tuple(parts)


def without_repeated_id(call: ToolCall, seen_ids: set[str]) -> ToolCall:
    """``call``, its id empty if an earlier call of the response has the same one; encoders replace empty ids."""
    if call.id in seen_ids:
        return msgspec.structs.replace(call, id="")
    seen_ids.add(call.id)
    return call


def decode_part(block: Block, raw: Raw) -> Part | None:
    """The part of one whole block; ``None`` for empty text. Raises :class:`ClientMistake` for an invalid block."""
    if block.type not in MAPPED_TYPES or block.type not in _DECODERS:
        return Opaque(FAMILY, block.type, raw, readable_text(raw), history=True)
    return _DECODERS[block.type](block)


def _decode_text(block: Block) -> Part | None:
    cited = decode_citations(block.citations, at="citations") if block.citations else ()
    return Text(block.text, citations=cited) if block.text else None


def _decode_thinking(block: Block) -> Part:
    return Reasoning(block.thinking or "", Seal(FAMILY, FAMILY, {"signature": block.signature or ""}))


def _decode_redacted(block: Block) -> Part:
    return Reasoning("", Seal(FAMILY, FAMILY, {"redacted": block.data or ""}))


def _decode_call(block: Block) -> Part:
    return ToolCall(block.id or "", block.name or "", decode_response_arguments(block.input), native=native_fields(block))


_DECODERS: dict[str, Callable[[Block], Part | None]] = {
    "text": _decode_text,
    "thinking": _decode_thinking,
    "redacted_thinking": _decode_redacted,
    "tool_use": _decode_call,
}

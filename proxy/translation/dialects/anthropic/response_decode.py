"""The whole answer: read from an Anthropic upstream, written for a client of this dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation.canonical import Opaque, Part, Reasoning, Response, Seal, Text, ToolCall
from proxy.translation.dialects.anthropic.citations import citations
from proxy.translation.dialects.anthropic.errors import read_error
from proxy.translation.dialects.anthropic.stop_reasons import finish
from proxy.translation.dialects.anthropic.tool_arguments import told_arguments
from proxy.translation.dialects.anthropic.usage import WireUsage
from proxy.translation.dialects.anthropic.wire import FAMILY, MAPPED, Block, read_block, words
from proxy.translation.dialects.replies import decode_again
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


_MESSAGE = msgspec.json.Decoder(_Message)


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
        return decode_again(body, _MESSAGE)


def _unreadable(message: str, details: dict[str, Any] | None = None) -> UpstreamFailed:
    return UpstreamFailed(Failure(kind="bad_gateway", message=message, details=details), answered=True)


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


_READERS: dict[str, Callable[[Block], Part | None]] = {
    "text": _read_text,
    "thinking": _read_thinking,
    "redacted_thinking": _read_redacted,
    "tool_use": _read_call,
}


# --- encode ----------------------------------------------------------------------------------------------------------


# --- patch -----------------------------------------------------------------------------------------------------------

"""The arguments of a tool call: JSON text in the canonical form, an object on this wire."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.anthropic.wire import OBJECT, present
from proxy.translation.errors import ClientMistake


def arguments(raw: Raw, *, at: str) -> str:
    """``input`` as compact JSON text; raises :class:`ClientMistake` unless it is an object."""
    if not present(raw):
        return "{}"
    try:
        text = json_wire.compact(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ClientMistake(f"{at}: not valid JSON: {error}", param=at) from None
    if not text.startswith("{"):
        raise ClientMistake(f"{at}: Expected `object`", param=at)
    return text


_STRING = msgspec.json.Decoder(str)


def told_arguments(raw: Raw) -> str:
    """The arguments of a call in a reply; servers that only speak like Anthropic write them as text, or as something else."""
    if bytes(raw).startswith(b'"'):
        return str(json_wire.decode(raw, _STRING, at="input")) or "{}"
    return json_wire.compact(raw) if present(raw) else "{}"


def tool_input(arguments: str) -> Raw:
    """``arguments`` as the object that the API demands; words that are no object are kept under ``_raw_arguments``."""
    if not arguments or arguments.isspace():
        return Raw(b"{}")
    text = arguments.encode(errors="replace")
    if _is_object(text):
        return Raw(text)
    if arguments.strip() == "null":
        return Raw(b"{}")
    mended = json_wire.repaired(text)  # half of a surrogate pair, as models cut their emoji
    return Raw(mended if _is_object(mended) else json_wire.encode({"_raw_arguments": arguments}))


def _is_object(text: bytes) -> bool:
    try:
        OBJECT.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True

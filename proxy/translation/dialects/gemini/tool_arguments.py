"""Arguments of a tool call: an object in ``args`` on the wire, JSON text in the canonical form."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.gemini.wire import OBJECT, is_present
from proxy.translation.lone_surrogates import replace_lone_surrogates


def decode_arguments(raw: Raw) -> str:
    """``args`` of a response as compact JSON text."""
    return json_wire.compact(raw) if is_present(raw) else "{}"


def encode_arguments(arguments: str) -> Raw:
    """``arguments`` as a JSON object: ``{}`` for empty text and ``null``, ``{"_raw_arguments": …}`` for any other text."""
    if not arguments or arguments.isspace() or arguments.strip() == "null":
        return Raw(b"{}")
    text = arguments.encode(errors="replace")
    if is_object(text):
        return Raw(text)
    repaired = replace_lone_surrogates(text)  # models emit lone surrogates where a token ends inside an emoji
    return Raw(repaired if is_object(repaired) else json_wire.encode({"_raw_arguments": arguments}))


def is_object(text: bytes) -> bool:
    """Whether a text is a JSON object."""
    try:
        OBJECT.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True

"""Arguments of a tool call: an object in ``input`` on the wire, JSON text in the canonical form."""

from __future__ import annotations

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.anthropic.wire import OBJECT, is_present
from proxy.translation.lone_surrogates import replace_lone_surrogates

_STRING = msgspec.json.Decoder(str)


def decode_response_arguments(raw: Raw) -> str:
    """``input`` of a response as compact JSON text.

    Compatible servers also send the arguments as a string that holds the JSON, which is returned without its quotes, or as
    another JSON value, which is returned unchanged.
    """
    if bytes(raw).startswith(b'"'):
        return str(json_wire.decode(raw, _STRING, at="input")) or "{}"
    return json_wire.compact(raw) if is_present(raw) else "{}"


def encode_arguments(arguments: str) -> Raw:
    """``arguments`` as a JSON object, which the API requires: ``{}`` for empty text, ``{"_raw_arguments": …}`` for any other text."""
    if not arguments or arguments.isspace():
        return Raw(b"{}")
    text = arguments.encode(errors="replace")
    if _is_object(text):
        return Raw(text)
    if arguments.strip() == "null":
        return Raw(b"{}")
    repaired = replace_lone_surrogates(text)  # models emit lone surrogates where a token ends inside an emoji
    return Raw(repaired if _is_object(repaired) else json_wire.encode({"_raw_arguments": arguments}))


def _is_object(text: bytes) -> bool:
    try:
        OBJECT.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return True

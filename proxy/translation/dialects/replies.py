"""An upstream's JSON, read a second time where it did not fit: odd counters must not cost a client its answer."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from proxy.translation import json_wire
from proxy.translation.dialects.base import error_object
from proxy.translation.errors import ClientMistake

T = TypeVar("T")


def decode_again(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode with lone surrogates mended and, if need be, without counters that are no numbers.

    Raises :class:`ClientMistake` with the path of what is wrong all the same.
    """
    try:
        return json_wire.decode(body, decoder)
    except ClientMistake:
        value = error_object(json_wire.repaired(bytes(body)))
        if not isinstance(value, dict) or not _mended_usages(value):
            raise
    return json_wire.decode(json_wire.encode(value), decoder)


def _mended_usages(reply: dict[str, Any]) -> bool:
    """Whether there were any usages in a reply or an event; they are mended in place."""
    choices = reply.get("choices")
    holders = [reply, reply.get("message"), reply.get("x_groq"), *(choices if isinstance(choices, list) else ())]
    found = [holder for holder in holders if isinstance(holder, dict) and "usage" in holder]
    for holder in found:
        holder["usage"] = _counters(holder["usage"])
    return bool(found)


def _counters(usage: Any) -> dict[str, Any] | None:
    return {name: _counter(name, value) for name, value in usage.items()} if isinstance(usage, dict) else None


def _counter(name: str, value: Any) -> Any:
    if name.endswith("_details") or name == "cache_creation":
        return _counters(value)
    if isinstance(value, str):
        return int(value) if value.isdecimal() else value if name == "service_tier" else None
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

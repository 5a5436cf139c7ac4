"""A second, lenient decoding of an upstream's JSON, after the typed decoder has refused it.

Lone surrogates become U+FFFD. Counters of a ``usage`` object that are not integers (``"12"``, ``12.0``, ``"n/a"``) are converted
or removed, so that a wrong counter does not cost the client its response.
"""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec

from proxy.translation import json_wire
from proxy.translation.dialects.base import error_object
from proxy.translation.errors import ClientMistake
from proxy.translation.lone_surrogates import replace_lone_surrogates

T = TypeVar("T")


_UNTYPED = frozenset({"server_tool_use", "iterations", "cost"})
"""Fields of a usage that are not decoded by type, so that no value of theirs is refused."""
_NAMES = frozenset({"service_tier", "speed", "inference_geo"})


def decode_leniently(body: bytes | msgspec.Raw, decoder: msgspec.json.Decoder[T]) -> T:
    """Decode ``body`` with lone surrogates replaced and, if it is still refused, with its usage counters converted.

    Raises :class:`ClientMistake` with the path of the field if the decoder refuses that, too.
    """
    try:
        return json_wire.decode(body, decoder)
    except ClientMistake:
        value = error_object(replace_lone_surrogates(bytes(body)))
        if not isinstance(value, dict) or not _convert_usages(value):
            raise
    return json_wire.decode(json_wire.encode(value), decoder)


def _convert_usages(response: dict[str, Any]) -> bool:
    """Convert every ``usage`` of a response or of a stream's event in place; ``False`` if there is none."""
    choices = response.get("choices")
    candidates = [response, response.get("message"), response.get("x_groq"), *(choices if isinstance(choices, list) else ())]
    owners = [owner for owner in candidates if isinstance(owner, dict) and "usage" in owner]
    for owner in owners:
        owner["usage"] = _convert_counters(owner["usage"])
    return bool(owners)


def _convert_counters(usage: Any) -> dict[str, Any] | None:
    return {name: _convert_counter(name, value) for name, value in usage.items()} if isinstance(usage, dict) else None


def _convert_counter(name: str, value: Any) -> Any:
    if name in _UNTYPED:
        return value
    if name.endswith("_details") or name == "cache_creation":
        return _convert_counters(value)
    if isinstance(value, str):
        return int(value) if value.isdecimal() else value if name in _NAMES else None
    return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None

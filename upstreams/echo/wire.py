"""Shared by both dialects of the echo upstream: JSON, stream steps, and reading values of the wrong type as absent. Pure functions."""

import json
import re
from typing import Any

import msgspec

from upstreams.echo.plan import tokens

PIECE, FRAME, END = "piece", "frame", "end"

_SURROGATES = re.compile("[\ud800-\udfff]")
_TOKENS_OF_AN_IMAGE = 1600
_LONG_BASE64 = 256


class Step(msgspec.Struct, frozen=True):
    """Bytes of a stream. Directives count the steps of kind PIECE and take effect before a PIECE or the first END."""

    data: bytes
    kind: str = FRAME


def encode(value: Any) -> bytes:
    """Compact JSON in UTF-8; lone surrogates, which UTF-8 cannot encode, become U+FFFD."""
    return _SURROGATES.sub("\ufffd", json.dumps(value, ensure_ascii=False, separators=(",", ":"))).encode()


def dicts(value: Any) -> list[dict[str, Any]]:
    """The objects of a list; empty if the value is not a list."""
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


def mapping(value: Any) -> dict[str, Any]:
    """The value if it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def string(value: Any) -> str:
    """The value if it is a string, else an empty one."""
    return value if isinstance(value, str) else ""


def limit(value: Any) -> int | None:
    """The value if it is an integer, else `None`."""
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def strings(value: Any) -> tuple[str, ...]:
    """A string or a list of strings, as in `stop`."""
    return (value,) if isinstance(value, str) else tuple(item for item in value if isinstance(item, str)) if isinstance(value, list) else ()


def describe_base64(media_type: str, data: Any) -> str:
    """`image/png, 68 bytes`, computed from the length of the base64 text."""
    text = string(data)
    return f"{media_type or 'unknown type'}, {len(text) * 3 // 4 - text[-2:].count('=')} bytes"


def describe_url(url: str) -> str:
    """`describe_base64` of a data URL; other URLs unchanged."""
    if url.startswith("data:"):
        head, _, data = url.removeprefix("data:").partition(",")
        return describe_base64(head.split(";")[0], data)
    return url


def count_input(body: dict[str, Any]) -> int:
    """Estimated input tokens: all strings of system, messages and tools; a constant for each medium."""
    return sum(_count(body.get(name)) for name in ("system", "messages", "tools", "functions"))


def _count(value: Any) -> int:
    if isinstance(value, str):
        is_data = value.startswith("data:") or (len(value) > _LONG_BASE64 and " " not in value and "\n" not in value)
        return _TOKENS_OF_AN_IMAGE if is_data else tokens(value)
    if isinstance(value, dict):
        return sum(_count(item) for key, item in value.items() if key not in ("type", "role", "cache_control"))
    if isinstance(value, list):
        return sum(_count(item) for item in value)
    return 0

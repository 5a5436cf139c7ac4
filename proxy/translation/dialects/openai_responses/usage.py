"""Usage and service tiers (docs/wire-formats.md, section 10). ``input_tokens`` includes the cached tokens."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import usage_details
from proxy.translation.canonical import Usage
from proxy.translation.usage_counters import with_tool_usage


class _WriteDetails(msgspec.Struct):
    """Tokens written to the cache, by lifetime of the entry: 30 minutes or 12 hours."""

    ttl_30m_tokens: int | None = None
    ttl_12h_tokens: int | None = None


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None
    cache_write_tokens_details: _WriteDetails | msgspec.UnsetType | None = msgspec.UNSET


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """The ``usage`` of a response object."""

    input_tokens: int | None = None
    input_tokens_details: _InputDetails | None = None
    output_tokens: int | None = None
    output_tokens_details: _OutputDetails | None = None
    total_tokens: int | None = None
    cost: Any = msgspec.UNSET


def decode_usage(usage: WireUsage, service_tier: str | None, *, tool_usage: bytes = b"", tools: bytes = b"") -> Usage:
    """The usage in disjoint classes; negative counts and absent details are 0. Writes for 12 hours are the long-lived ones.

    ``tool_usage`` and ``tools``: JSON of the fields of the response object.
    """
    details = usage.input_tokens_details or _InputDetails()
    read = max(0, details.cached_tokens or 0)
    long_lived = max(0, (details.cache_write_tokens_details or _WriteDetails()).ttl_12h_tokens or 0)
    written = max(long_lived, details.cache_write_tokens or 0)
    tokens = Usage(
        fresh=max(0, (usage.input_tokens or 0) - read - written),
        cache_read=read,
        cache_write_5m=written - long_lived,
        cache_write_1h=long_lived,
        output=max(0, usage.output_tokens or 0),
        reasoning=max(0, (usage.output_tokens_details or _OutputDetails()).reasoning_tokens or 0),
        service_tier=service_tier,
        reported_cost=usage_details.reported_cost(usage.cost),
    )
    return with_tool_usage(tokens, *usage_details.tool_usage(tool_usage, tools)) if tool_usage else tokens


def encode_usage(usage: Usage) -> WireUsage:
    """The ``usage`` object, with both objects of details, which SDKs require."""
    return WireUsage(
        input_tokens=usage.total_input,
        input_tokens_details=_InputDetails(usage.cache_read, usage.cache_write),
        output_tokens=usage.output,
        output_tokens_details=_OutputDetails(usage.reasoning),
        total_tokens=usage.total_input + usage.output,
    )


def encode_count(tokens: int) -> bytes:
    """The body of a response to ``POST /v1/responses/input_tokens``."""
    return b'{"object":"response.input_tokens","input_tokens":%d}' % tokens


_TIERS = {"standard": "default", "standard_only": "default"} | {
    tier: tier for tier in ("auto", "default", "flex", "scale", "priority", "fast", "ultrafast")
}


def encode_service_tier(usage: Usage) -> str | None:
    """The ``service_tier`` of a response; ``None`` for a tier that the API does not have, because SDKs refuse other values."""
    return _TIERS.get(usage.service_tier or "")

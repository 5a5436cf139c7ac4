"""Token counts: ``inputTokens`` excludes what was read from a cache and written to it (docs/wire-formats.md, section 17.7)."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.canonical import Usage
from proxy.translation.usage_details import count


class WireUsage(msgspec.Struct, gc=False):
    """The counters of a response."""

    inputTokens: Any = None  # noqa: N815
    outputTokens: Any = None  # noqa: N815
    cacheReadInputTokens: Any = None  # noqa: N815
    cacheWriteInputTokens: Any = None  # noqa: N815
    cacheDetails: Any = None  # noqa: N815


def decode_usage(usage: WireUsage, service_tier: Any = None) -> Usage:
    """The canonical usage; ``service_tier``: that of the response, an object with its ``type``."""
    written = count(usage.cacheWriteInputTokens) or 0
    details = usage.cacheDetails if isinstance(usage.cacheDetails, list) else []
    hour = sum(count(entry.get("inputTokens")) or 0 for entry in details if isinstance(entry, dict) and entry.get("ttl") == "1h")
    hour = min(hour, written)
    tier = service_tier.get("type") if isinstance(service_tier, dict) else None
    return Usage(
        fresh=count(usage.inputTokens) or 0,
        cache_read=count(usage.cacheReadInputTokens) or 0,
        cache_write_5m=written - hour,
        cache_write_1h=hour,
        output=count(usage.outputTokens) or 0,
        service_tier=tier if isinstance(tier, str) and tier else None,
    )


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """The ``usage`` of a response, and of the ``metadata`` event of a stream."""
    usage = usage or Usage()
    encoded: dict[str, Any] = {
        "inputTokens": usage.fresh,
        "outputTokens": usage.output,
        "totalTokens": usage.total_input + usage.output,
    }
    if usage.cache_read or usage.cache_write:
        encoded |= {"cacheReadInputTokens": usage.cache_read, "cacheWriteInputTokens": usage.cache_write}
    if usage.cache_write:
        lifetimes = (("5m", usage.cache_write_5m), ("1h", usage.cache_write_1h))
        encoded["cacheDetails"] = [{"ttl": ttl, "inputTokens": tokens} for ttl, tokens in lifetimes if tokens]
    return encoded

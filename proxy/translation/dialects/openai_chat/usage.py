"""Usage and service tiers of responses and streams (docs/wire-formats.md, section 10)."""

from __future__ import annotations

from typing import Any

from proxy.translation.canonical import Usage

_SERVICE_TIERS = {"standard": "default", "standard_only": "default"}
_KNOWN_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """The ``usage`` object of a response; all zeros if the upstream reported no usage."""
    usage = usage or Usage()
    total = usage.total_input
    return {
        "prompt_tokens": total,
        "completion_tokens": usage.output,
        "total_tokens": total + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def encode_service_tier(usage: Usage | None) -> str | None:
    """The ``service_tier`` of a response; ``None`` if the API has no such tier."""
    if usage is None or usage.service_tier is None:
        return None
    tier = _SERVICE_TIERS.get(usage.service_tier, usage.service_tier)
    return tier if tier in _KNOWN_TIERS else None

"""Usage and service tiers of responses and streams (docs/wire-formats.md, section 10)."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.canonical import Usage

_SERVICE_TIERS = {"standard": "default", "standard_only": "default"}
_KNOWN_TIERS = frozenset({"auto", "default", "flex", "scale", "priority", "fast"})

Count = int | float | None


class PromptDetails(msgspec.Struct):
    """``prompt_tokens_details``."""

    cached_tokens: Count = None
    cache_write_tokens: Count = None


class CompletionDetails(msgspec.Struct):
    """``completion_tokens_details``."""

    reasoning_tokens: Count = None


class WireUsage(msgspec.Struct):
    """A ``usage`` object.

    Servers report tokens read from the cache in ``prompt_tokens_details.cached_tokens``, ``prompt_cache_hit_tokens`` (DeepSeek) or
    ``cached_tokens``.
    """

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: Count = None
    prompt_cache_miss_tokens: Count = None
    cached_tokens: Count = None
    reasoning_tokens: Count = None


def _first_count(*values: Count) -> int:
    """The first value that is not ``None``, as an integer of at least 0; 0 if all are ``None``."""
    for value in values:
        if value is not None:
            return max(0, int(value))
    return 0


def decode_usage(usage: WireUsage, service_tier: Any = None) -> Usage | None:
    """The usage in disjoint classes; ``None`` if the object has neither input nor output counters."""
    hit, miss = usage.prompt_cache_hit_tokens, usage.prompt_cache_miss_tokens
    if usage.prompt_tokens is None and usage.completion_tokens is None and hit is None and miss is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    read = _first_count(prompt.cached_tokens if prompt else None, hit, usage.cached_tokens)
    written = _first_count(prompt.cache_write_tokens if prompt else None)
    total = _first_count(usage.prompt_tokens) if usage.prompt_tokens is not None else _first_count(hit) + _first_count(miss)
    return Usage(
        fresh=max(0, total - read - written),
        cache_read=read,
        cache_write_5m=written,
        output=_first_count(usage.completion_tokens),
        reasoning=_first_count(completion.reasoning_tokens if completion else None, usage.reasoning_tokens),
        service_tier=service_tier if isinstance(service_tier, str) else None,
    )


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

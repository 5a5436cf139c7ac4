"""``usageMetadata``: the prompt includes what was read from a cache, candidates exclude thoughts (docs/wire-formats.md, section 16.7)."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.canonical import Usage
from proxy.translation.usage_details import count, modalities


class WireUsage(msgspec.Struct, gc=False):
    """The counters of one chunk or response. Servers also write them as texts or floats."""

    promptTokenCount: Any = None  # noqa: N815
    cachedContentTokenCount: Any = None  # noqa: N815
    candidatesTokenCount: Any = None  # noqa: N815
    thoughtsTokenCount: Any = None  # noqa: N815
    toolUsePromptTokenCount: Any = None  # noqa: N815
    totalTokenCount: Any = None  # noqa: N815
    promptTokensDetails: Any = None  # noqa: N815
    cacheTokensDetails: Any = None  # noqa: N815
    candidatesTokensDetails: Any = None  # noqa: N815
    serviceTier: Any = None  # noqa: N815

    def has_counts(self) -> bool:
        """Whether it says anything."""
        return self.promptTokenCount is not None or self.candidatesTokenCount is not None or self.totalTokenCount is not None


def decode_usage(usage: WireUsage) -> Usage:
    """The canonical usage in disjoint classes. What tools of the vendor put into the prompt is fresh input; thoughts are output."""
    prompt, cached = count(usage.promptTokenCount) or 0, count(usage.cachedContentTokenCount) or 0
    thoughts = count(usage.thoughtsTokenCount) or 0
    output = (count(usage.candidatesTokenCount) or 0) + thoughts
    cached = min(cached, prompt) if prompt else cached
    fresh = max(0, prompt - cached) + (count(usage.toolUsePromptTokenCount) or 0)
    details = _by_modality(usage.promptTokensDetails, minus=usage.cacheTokensDetails), _by_modality(usage.candidatesTokensDetails)
    return Usage(
        fresh=fresh,
        cache_read=cached,
        output=output,
        reasoning=thoughts,
        service_tier=usage.serviceTier.lower() if isinstance(usage.serviceTier, str) and usage.serviceTier else None,
        **modalities(*details, fresh=fresh, output=output),
    )


def _by_modality(details: Any, *, minus: Any = None) -> dict[str, int]:
    """``audio_tokens`` and ``image_tokens`` of a list of counts by modality."""
    counts: dict[str, int] = {}
    for sign, entries in ((1, details), (-1, minus)):
        for entry in entries if isinstance(entries, list) else ():
            if isinstance(entry, dict) and isinstance(entry.get("modality"), str):
                name = f"{entry['modality'].lower()}_tokens"
                counts[name] = max(0, counts.get(name, 0) + sign * (count(entry.get("tokenCount")) or 0))
    return counts


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """The ``usageMetadata`` of a response, and of the last chunk of a stream."""
    usage = usage or Usage()
    encoded: dict[str, Any] = {
        "promptTokenCount": usage.total_input,
        "candidatesTokenCount": usage.output - usage.reasoning,
        "totalTokenCount": usage.total_input + usage.output,
    }
    if usage.cache_read:
        encoded["cachedContentTokenCount"] = usage.cache_read
    if usage.reasoning:
        encoded["thoughtsTokenCount"] = usage.reasoning
    return encoded

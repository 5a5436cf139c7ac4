"""Token counts on this wire: ``input_tokens`` excludes both cache counters (wire formats, section 10)."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.canonical import Usage


class CacheCreation(msgspec.Struct):
    """Tokens written to the cache, by lifetime."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    """A part of the output tokens."""

    thinking_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """What one event or reply says; ``None`` where it says nothing."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None

    def over(self, earlier: WireUsage | None) -> WireUsage:
        """This, with what it leaves open filled in from ``earlier``: later counts replace, they never add."""
        if earlier is None:
            return self
        filled = {name: getattr(earlier, name) for name in self.__struct_fields__ if getattr(self, name) is None}
        if self.cache_creation_input_tokens not in (None, earlier.cache_creation_input_tokens):
            filled.pop("cache_creation", None)  # the split belongs to the earlier total
        return msgspec.structs.replace(self, **filled)

    def canonical(self) -> Usage:
        """The disjoint classes; a missing count is none."""
        five, hour = _split(self.cache_creation_input_tokens, self.cache_creation)
        details = self.output_tokens_details
        return Usage(
            fresh=max(0, self.input_tokens or 0),
            cache_read=max(0, self.cache_read_input_tokens or 0),
            cache_write_5m=five,
            cache_write_1h=hour,
            output=max(0, self.output_tokens or 0),
            reasoning=max(0, (details.thinking_tokens or 0) if details is not None else 0),
            service_tier=self.service_tier,
        )


def _split(total: int | None, split: CacheCreation | None) -> tuple[int, int]:
    """Tokens written for five minutes and for an hour; what the split leaves open of the total counts as five minutes."""
    hour = max(0, (split.ephemeral_1h_input_tokens or 0) if split is not None else 0)
    five = max(0, (split.ephemeral_5m_input_tokens or 0) if split is not None else 0)
    return max(five, (total or 0) - hour), hour


def encode(usage: Usage | None) -> dict[str, Any]:
    """The whole usage object of a reply."""
    usage = usage or Usage()
    return {
        "input_tokens": usage.fresh,
        "output_tokens": usage.output,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write_5m, "ephemeral_1h_input_tokens": usage.cache_write_1h},
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "server_tool_use": None,
        "service_tier": _tier(usage.service_tier),
    }


def encode_delta(usage: Usage | None) -> dict[str, Any]:
    """The cumulative usage of ``message_delta``; of an unknown one only the output count, which must always be there."""
    if usage is None:
        return {"output_tokens": 0}
    return {
        "input_tokens": usage.fresh,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "server_tool_use": None,
    }


_TIERS = frozenset({"standard", "priority", "batch"})


def _tier(tier: str | None) -> str:
    """The tier in this dialect's words; what it has no word for ran as ``standard``."""
    return tier if tier in _TIERS else "standard"

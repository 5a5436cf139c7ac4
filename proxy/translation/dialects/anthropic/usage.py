"""Usage objects. ``input_tokens`` excludes both cache counters (docs/wire-formats.md, section 10)."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import usage_details
from proxy.translation.canonical import Usage

_NATIVE = ("fallback_credit", "inference_geo", "iterations", "server_tool_use", "speed")
_NATIVE_OF_DELTA = ("fallback_credit", "iterations", "server_tool_use")
"""What the usage of ``message_delta`` has of them."""


class CacheCreation(msgspec.Struct):
    """Tokens written to the cache, by lifetime of the entry."""

    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class OutputDetails(msgspec.Struct):
    """Output tokens by kind."""

    thinking_tokens: int | None = None


class WireUsage(msgspec.Struct):
    """The counters of one event or response; ``None`` where it does not have one."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: CacheCreation | None = None
    output_tokens_details: OutputDetails | None = None
    service_tier: str | None = None
    fallback_credit: Any = None
    inference_geo: Any = None
    iterations: Any = None
    server_tool_use: Any = None
    speed: Any = None
    cost: Any = None

    def completed_from(self, earlier: WireUsage | None) -> WireUsage:
        """These counters, with the absent ones taken from ``earlier``. Counters in a stream are totals and are never added up."""
        if earlier is None:
            return self
        filled = {name: getattr(earlier, name) for name in self.__struct_fields__ if getattr(self, name) is None}
        if self.cache_creation_input_tokens not in (None, earlier.cache_creation_input_tokens):
            filled.pop("cache_creation", None)  # the split by lifetime belongs to the earlier total
        return msgspec.structs.replace(self, **filled)

    def to_canonical(self) -> Usage:
        """The canonical usage in disjoint classes; missing and negative counters become 0."""
        five, hour = _split(self.cache_creation_input_tokens, self.cache_creation)
        details = self.output_tokens_details
        usage = Usage(
            fresh=max(0, self.input_tokens or 0),
            cache_read=max(0, self.cache_read_input_tokens or 0),
            cache_write_5m=five,
            cache_write_1h=hour,
            output=max(0, self.output_tokens or 0),
            reasoning=max(0, (details.thinking_tokens or 0) if details is not None else 0),
            service_tier=self.service_tier,
            speed=usage_details.text(self.speed),
            inference_geo=usage_details.text(self.inference_geo),
            server_tools=usage_details.server_tools(self.server_tool_use),
            reported_cost=usage_details.reported_cost(self.cost),
            native={name: value for name in _NATIVE if (value := getattr(self, name)) is not None},
        )
        if self.iterations is None:
            return usage
        return msgspec.structs.replace(usage, parts=usage_details.separate_iterations(self.iterations, usage))


def _split(total: int | None, split: CacheCreation | None) -> tuple[int, int]:
    """Tokens written for five minutes and for one hour. Tokens of the total that the split does not name count as five minutes."""
    hour = max(0, (split.ephemeral_1h_input_tokens or 0) if split is not None else 0)
    five = max(0, (split.ephemeral_5m_input_tokens or 0) if split is not None else 0)
    return max(five, (total or 0) - hour), hour


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """The usage object of a response and of ``message_start``."""
    usage = usage or Usage()
    return {
        "input_tokens": usage.fresh,
        "output_tokens": usage.output,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "cache_creation": {"ephemeral_5m_input_tokens": usage.cache_write_5m, "ephemeral_1h_input_tokens": usage.cache_write_1h},
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "inference_geo": usage.inference_geo,
        "server_tool_use": _server_tool_use(usage),
        "service_tier": _tier(usage.service_tier),
        **usage.native,
    }


def encode_start_usage(usage: Usage | None, *, input_estimate: int) -> dict[str, Any]:
    """The usage object of ``message_start``. ``usage``: the upstream's, if it reports one at the start.

    What ``message_delta`` cannot correct is ``null`` while it is unknown: the split of the cache writes and the service tier.
    """
    if usage is not None:
        return encode_usage(usage)
    return encode_usage(Usage(fresh=input_estimate)) | {"cache_creation": None, "service_tier": None}


def encode_delta_usage(usage: Usage | None) -> dict[str, Any]:
    """The usage object of ``message_delta``. ``None`` gives ``output_tokens`` alone, which the SDKs require."""
    if usage is None:
        return {"output_tokens": 0}
    return {
        "input_tokens": usage.fresh,
        "cache_creation_input_tokens": usage.cache_write,
        "cache_read_input_tokens": usage.cache_read,
        "output_tokens": usage.output,
        "output_tokens_details": {"thinking_tokens": usage.reasoning},
        "server_tool_use": _server_tool_use(usage),
        **{name: usage.native[name] for name in _NATIVE_OF_DELTA if name in usage.native},
    }


def _server_tool_use(usage: Usage) -> dict[str, int] | None:
    """Both counters of this dialect; ``None`` if neither tool was called."""
    counters = {name: usage.server_tools.get(name, 0) for name in ("web_fetch_requests", "web_search_requests")}
    return counters if any(counters.values()) else None


_TIERS = frozenset({"standard", "priority", "batch"})


def _tier(tier: str | None) -> str:
    """``tier`` if this dialect has it, otherwise ``standard``."""
    return tier if tier in _TIERS else "standard"

"""Reads the ``usage`` object of any server: the counters of all known names, checked by their sum (docs/wire-formats.md, section 10).

Servers of the Chat dialect, and those that are not translated, name and split their counters differently. Values of other types
than integers are converted, or ignored.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from proxy.translation import usage_details
from proxy.translation.usage import Usage, UsagePart
from proxy.translation.usage_details import count as _count

_INPUT = ("prompt_tokens", "input_tokens")
_OUTPUT = ("completion_tokens", "output_tokens")
_INPUT_DETAILS = ("prompt_tokens_details", "input_tokens_details", "input_token_details")
_OUTPUT_DETAILS = ("completion_tokens_details", "output_tokens_details")
_READ = ("prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens")
"""Cache reads at the top level: DeepSeek, Moonshot, Mistral, Anthropic."""
_WRITTEN = ("cache_write_tokens", "cache_creation_input_tokens", "cache_creation_tokens")
"""Cache writes: OpenAI; Anthropic, DashScope and gateways; the last also without ``input``."""
_CACHE_FIELDS = frozenset((*_INPUT_DETAILS, *_READ, *_WRITTEN, "cache_creation"))
_DETAILS = frozenset({"speed", "inference_geo", "server_tool_use", "cost", "iterations"})


def read_usage(usage: Mapping[str, Any], service_tier: Any = None) -> Usage | None:
    """The usage in disjoint classes; ``None`` if the object has neither input nor output counters."""
    input_tokens, output = _first(usage, _INPUT), _first(usage, _OUTPUT)
    hit, miss = _count(usage.get("prompt_cache_hit_tokens")), _count(usage.get("prompt_cache_miss_tokens"))
    if input_tokens is None and (hit is not None or miss is not None):
        input_tokens = (hit or 0) + (miss or 0)
    if input_tokens is None and output is None:
        return None
    total_input, output = input_tokens or 0, output or 0
    read, written, long_written = _cache_counters(usage)
    total, reasoning = _count(usage.get("total_tokens")), _reasoning(usage)
    cached = read + written
    if _excludes_cache(usage, total_input, cached) or (total is not None and cached and total == total_input + cached + output):
        total_input += cached
    main = Usage(
        fresh=max(0, total_input - cached),
        cache_read=read,
        cache_write_5m=written - long_written,
        cache_write_1h=long_written,
        output=_whole_output(total_input, output, reasoning, total),
        reasoning=reasoning,
        service_tier=service_tier if isinstance(service_tier, str) else None,
    )
    main = _with_modalities(main, _group(usage, _INPUT_DETAILS), _group(usage, _OUTPUT_DETAILS))
    return main if usage.keys().isdisjoint(_DETAILS) else _with_details(main, usage)


def _with_modalities(main: Usage, input_details: Mapping[str, Any], output_details: Mapping[str, Any]) -> Usage:
    for details in (input_details, output_details):
        if details and (details.get("audio_tokens") or details.get("image_tokens")):
            counts = usage_details.modalities(input_details, output_details, fresh=main.fresh, output=main.output)
            return msgspec.structs.replace(main, **counts)
    return main


def _with_details(main: Usage, usage: Mapping[str, Any]) -> Usage:
    detailed = msgspec.structs.replace(
        main,
        speed=usage_details.text(usage.get("speed")),
        inference_geo=usage_details.text(usage.get("inference_geo")),
        server_tools=usage_details.server_tools(usage.get("server_tool_use")),
        reported_cost=usage_details.reported_cost(usage.get("cost")),
    )
    return msgspec.structs.replace(detailed, parts=usage_details.separate_iterations(usage.get("iterations"), detailed))


def with_tool_usage(usage: Usage, tools: dict[str, int], parts: tuple[UsagePart, ...]) -> Usage:
    """A usage with what a Responses object says in ``tool_usage`` besides it (``usage_details.tool_usage``)."""
    if not tools and not parts:
        return usage
    return msgspec.structs.replace(usage, server_tools=usage.server_tools | tools, parts=usage.parts + parts)


def has_counts(usage: Mapping[str, Any]) -> bool:
    """Whether any counter of input or output is above 0. Some servers send zeros after the real usage."""
    return any(_first(usage, names) for names in (_INPUT, _OUTPUT, ("total_tokens", "prompt_cache_hit_tokens", "prompt_cache_miss_tokens")))


def _excludes_cache(usage: Mapping[str, Any], input_tokens: int, cached: int) -> bool:
    """Whether the input does not include the cache counters, as in Anthropic's own usage."""
    if usage.get("cache_read_input_tokens") is None and usage.get("cache_creation_input_tokens") is None:
        return False
    return usage.get("prompt_tokens") is None or cached > input_tokens


def _cache_counters(usage: Mapping[str, Any]) -> tuple[int, int, int]:
    """Tokens read from the cache, written to it, and those of the latter that are written for an hour."""
    if usage.keys().isdisjoint(_CACHE_FIELDS):
        return 0, 0, 0
    details = _group(usage, _INPUT_DETAILS)
    read = _first(details, ("cached_tokens", "cache_read_input_tokens")) or _first(usage, _READ) or 0
    written = _first(details, _WRITTEN) or _first(usage, _WRITTEN) or 0
    long_written = _count(_group(usage, ("cache_creation",)).get("ephemeral_1h_input_tokens")) or 0
    long_written = long_written or _count(_group(details, ("cache_write_tokens_details",)).get("ttl_12h_tokens")) or 0
    written = max(written, long_written)
    return read, written, long_written


def _reasoning(usage: Mapping[str, Any]) -> int:
    details = _group(usage, _OUTPUT_DETAILS)
    return _first(details, ("reasoning_tokens", "thinking_tokens")) or _count(usage.get("reasoning_tokens")) or 0


def _whole_output(total_input: int, output: int, reasoning: int, total: int | None) -> int:
    """The output with its reasoning.

    xAI counts reasoning outside ``completion_tokens`` (docs.x.ai, consumption), Gemini's endpoint counts thoughts in ``total_tokens``
    alone. The rest of the total is output then. Without a total, reasoning that exceeds the output is not a part of it.
    """
    if reasoning > output:
        output += reasoning if total is None else 0
    return max(output, reasoning, 0 if total is None else total - total_input)


def _group(usage: Mapping[str, Any], names: tuple[str, ...]) -> Mapping[str, Any]:
    for name in names:
        group = usage.get(name)
        if isinstance(group, dict):
            return group
    return {}


def _first(usage: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    """The first counter above 0, else the first that is there."""
    first = None
    for name in names:
        if name in usage and (count := _count(usage[name])) is not None:
            if count:
                return count
            if first is None:
                first = count
    return first

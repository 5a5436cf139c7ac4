"""Counters and ends of chat replies, shared by whole answers and streams (sections 8.2 and 10)."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.canonical import Finish, FinishReason, Usage

FINISH_REASONS: dict[str, FinishReason] = {
    "stop": "end",
    "length": "length",
    "tool_calls": "tool_calls",
    "function_call": "tool_calls",
    "content_filter": "refusal",
    # Words of compatible servers (Mistral, Hugging Face, Anthropic adapters).
    "model_length": "length",
    "max_tokens": "length",
    "tool_use": "tool_calls",
}
"""What upstreams say; anything else is an ordinary end."""

FINISH_WORDS: dict[str, str] = {
    "end": "stop",
    "stop_sequence": "stop",
    "tool_calls": "tool_calls",
    "length": "length",
    "context_window": "length",
    "refusal": "content_filter",
    "pause": "stop",
    "compaction": "stop",
}
"""What clients are told."""

_SERVICE_TIERS = {"standard": "default", "standard_only": "default"}
_KNOWN_TIERS = frozenset({"auto", "default", "flex", "scale", "priority"})

Count = int | float | None


class PromptDetails(msgspec.Struct):
    """Details of the input."""

    cached_tokens: Count = None
    cache_write_tokens: Count = None


class CompletionDetails(msgspec.Struct):
    """Details of the output."""

    reasoning_tokens: Count = None


class WireUsage(msgspec.Struct):
    """Counters as servers send them; cache hits stand in three places."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    prompt_cache_hit_tokens: Count = None
    prompt_cache_miss_tokens: Count = None
    cached_tokens: Count = None
    reasoning_tokens: Count = None


def _count(*values: Count) -> int:
    """The first count that was told."""
    for value in values:
        if value is not None:
            return max(0, int(value))
    return 0


def decode_usage(usage: WireUsage, service_tier: Any = None) -> Usage | None:
    """The usage in disjoint classes; ``None`` for an object that tells nothing."""
    hit, miss = usage.prompt_cache_hit_tokens, usage.prompt_cache_miss_tokens
    if usage.prompt_tokens is None and usage.completion_tokens is None and hit is None and miss is None:
        return None
    prompt, completion = usage.prompt_tokens_details, usage.completion_tokens_details
    read = _count(prompt.cached_tokens if prompt else None, hit, usage.cached_tokens)
    written = _count(prompt.cache_write_tokens if prompt else None)
    total = _count(usage.prompt_tokens) if usage.prompt_tokens is not None else _count(hit) + _count(miss)
    return Usage(
        fresh=max(0, total - read - written),
        cache_read=read,
        cache_write_5m=written,
        output=_count(usage.completion_tokens),
        reasoning=_count(completion.reasoning_tokens if completion else None, usage.reasoning_tokens),
        service_tier=service_tier if isinstance(service_tier, str) else None,
    )


def encode_usage(usage: Usage | None) -> dict[str, Any]:
    """The usage object of a reply; zeros where the upstream told nothing."""
    usage = usage or Usage()
    total = usage.total_input
    return {
        "prompt_tokens": total,
        "completion_tokens": usage.output,
        "total_tokens": total + usage.output,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read, "cache_write_tokens": usage.cache_write},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning},
    }


def service_tier(usage: Usage | None) -> str | None:
    """The tier in chat's words, if it has one for it."""
    if usage is None or usage.service_tier is None:
        return None
    tier = _SERVICE_TIERS.get(usage.service_tier, usage.service_tier)
    return tier if tier in _KNOWN_TIERS else None


def decode_finish(word: str | None, *, refused: bool = False) -> Finish:
    """The end as the upstream calls it, before the content has its say; a refusal in words is a refusal."""
    reason = FINISH_REASONS.get(word or "", "end")
    return Finish(reason="refusal" if refused and reason == "end" else reason)


def finish_word(finish: Finish, *, refused: bool = False) -> str:
    """The ``finish_reason``; a refusal that the client reads in its own field is an ordinary stop, as in the original."""
    return "stop" if refused and finish.reason == "refusal" else FINISH_WORDS[finish.reason]

"""What a response used, in the canonical form: tokens in disjoint classes, and what else it is billed by."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True):
    """What a response used. Tokens are in disjoint classes; ``reasoning`` is a part of ``output``.

    ``input_audio`` and ``input_image`` are parts of ``fresh``, ``output_audio`` and ``output_image`` parts of ``output``.
    ``service_tier``, ``speed``, ``inference_geo``: what was served, by the upstream's names. ``server_tools``: calls of tools that run
    at the provider, by its counters' names. ``parts``: work that is billed besides these tokens. ``reported_cost``: USD, by the upstream.
    ``native``: fields that only one family knows.
    ``is_measured``: whether the counts say anything; false for a response without usage that no estimate can be made for.
    """

    fresh: int = 0
    cache_read: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    service_tier: str | None = None
    input_audio: int = 0
    output_audio: int = 0
    input_image: int = 0
    output_image: int = 0
    speed: str | None = None
    inference_geo: str | None = None
    server_tools: dict[str, int] = {}
    parts: tuple[UsagePart, ...] = ()
    reported_cost: Decimal | None = None
    native: dict[str, Any] = {}
    is_measured: bool = True

    @property
    def cache_write(self) -> int:
        return self.cache_write_5m + self.cache_write_1h

    @property
    def total_input(self) -> int:
        return self.fresh + self.cache_read + self.cache_write_5m + self.cache_write_1h

    def with_parts(self) -> Usage:
        """The same tokens with those of ``parts`` added to their classes; the result has no parts."""
        return add_usages([self, *(part.usage for part in self.parts)], like=self) if self.parts else self


class UsagePart(msgspec.Struct, frozen=True, kw_only=True):
    """Tokens of one piece of work besides the totals: Anthropic's iterations for compaction, advisors and fallbacks, generated images.

    ``model``: the model that did it, by the upstream's name; ``None``: the one that answered; empty: unknown.
    """

    kind: str
    model: str | None = None
    usage: Usage


COUNTS = (
    "fresh", "cache_read", "cache_write_5m", "cache_write_1h", "output", "reasoning",
    "input_audio", "output_audio", "input_image", "output_image",
)  # fmt: skip
"""The fields of :class:`Usage` that are numbers of tokens."""


def add_usages(usages: Sequence[Usage], *, like: Usage) -> Usage:
    """The sums of the tokens of all ``usages``; the rest as in ``like``, without parts."""
    sums = {name: sum(getattr(usage, name) for usage in usages) for name in COUNTS}
    return msgspec.structs.replace(like, parts=(), **sums)

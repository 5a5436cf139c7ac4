"""Budgets of thinking in tokens, and the efforts that they stand for in dialects without budgets."""

from __future__ import annotations

from typing import Literal

MIN_BUDGET = 1024
"""Smallest budget that Anthropic accepts for manual thinking; a budget must be below ``max_tokens``."""

_LIMITS: tuple[tuple[int, Literal["low", "medium", "high"]], ...] = ((4096, "low"), (12288, "medium"), (32768, "high"))


def effort_of(budget: int) -> Literal["low", "medium", "high", "xhigh"]:
    """``low`` below 4,096 tokens, ``medium`` below 12,288, ``high`` below 32,768, else ``xhigh``."""
    return next((effort for limit, effort in _LIMITS if budget < limit), "xhigh")

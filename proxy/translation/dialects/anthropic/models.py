"""What is known of Anthropic's models by their names: how each is asked to think.

Read from the model list and the capability types of Anthropic's SDK 2.11 (``types/model.py``, ``types/thinking_types.py``):
from version 4.6 on models take adaptive thinking; before, a budget; before 3.7, none at all.
"""

from __future__ import annotations

import re
from typing import Literal

from proxy.translation.quirks import Quirks

Style = Literal["adaptive", "enabled", "none"]

_VERSIONED = re.compile(r"claude-[a-z]+-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
"""``claude-opus-4-6``, ``us.anthropic.claude-haiku-4-5-20251001-v1:0``, ``anthropic/claude-sonnet-4.6``."""
_OLD = re.compile(r"claude-(?:instant|v?([123])(?:[-.](\d))?)(?!\d)")
"""``claude-3-7-sonnet-20250219``, ``claude-3-haiku``, ``claude-2.1``, ``claude-instant-1``."""
_UNNUMBERED_ADAPTIVE = ("claude-mythos-preview",)
_FIRST_ADAPTIVE = (4, 6)
_FIRST_XHIGH = (4, 7)
_FIRST_THINKING = (3, 7)


def version(model: str) -> tuple[int, int] | None:
    """The version in a model's name, also behind a provider's prefix; ``None`` for names of others."""
    match = _VERSIONED.search(model) or _OLD.search(model)
    return (int(match[1] or 1), int(match[2] or 0)) if match else None


def thinking_style(model: str, quirks: Quirks) -> Style:
    """How ``model`` is asked to think; names of others' models are taken for compatible ones that know budgets."""
    if quirks.thinking_style != "auto":
        return quirks.thinking_style
    if any(name in model for name in _UNNUMBERED_ADAPTIVE):
        return "adaptive"
    known = version(model)
    if known is None:
        return "enabled"
    if known < _FIRST_THINKING:
        return "none"
    return "adaptive" if known >= _FIRST_ADAPTIVE else "enabled"


def knows_xhigh(model: str) -> bool:
    """Whether the model takes the effort ``xhigh``; names of others' models are believed."""
    known = version(model)
    return known is None or known >= _FIRST_XHIGH

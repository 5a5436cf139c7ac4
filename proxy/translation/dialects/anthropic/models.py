"""How Anthropic's models are asked to think, by the version in their names.

Source: the model list and the capability types of Anthropic's SDK 2.11 (``types/model.py``, ``types/thinking_types.py``).
Models from version 4.6 on accept adaptive thinking; from 3.7 on, a budget; older ones do not think.
"""

from __future__ import annotations

import re
from typing import Literal

from proxy.translation.quirks import Quirks

ThinkingStyle = Literal["adaptive", "enabled", "none"]

_VERSIONED = re.compile(r"claude-[a-z]+-(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")
"""``claude-opus-4-6``, ``us.anthropic.claude-haiku-4-5-20251001-v1:0``, ``anthropic/claude-sonnet-4.6``."""
_OLD = re.compile(r"claude-(?:instant|v?([123])(?:[-.](\d))?)(?!\d)")
"""``claude-3-7-sonnet-20250219``, ``claude-3-haiku``, ``claude-2.1``, ``claude-instant-1``."""
_UNNUMBERED_ADAPTIVE = ("claude-mythos-preview",)
_FIRST_ADAPTIVE = (4, 6)
_FIRST_XHIGH = (4, 7)
_FIRST_THINKING = (3, 7)


def model_version(model: str) -> tuple[int, int] | None:
    """Major and minor version in a model's name, also after a provider's prefix; ``None`` for models of other vendors."""
    match = _VERSIONED.search(model) or _OLD.search(model)
    return (int(match[1] or 1), int(match[2] or 0)) if match else None


def thinking_style(model: str, quirks: Quirks) -> ThinkingStyle:
    """The thinking style of ``model``: the quirk if it is set, otherwise by version. Models of other vendors accept budgets."""
    if quirks.thinking_style != "auto":
        return quirks.thinking_style
    if any(name in model for name in _UNNUMBERED_ADAPTIVE):
        return "adaptive"
    version = model_version(model)
    if version is None:
        return "enabled"
    if version < _FIRST_THINKING:
        return "none"
    return "adaptive" if version >= _FIRST_ADAPTIVE else "enabled"


def supports_xhigh(model: str) -> bool:
    """Whether ``model`` accepts the effort ``xhigh``. Models of other vendors are assumed to."""
    version = model_version(model)
    return version is None or version >= _FIRST_XHIGH

"""What Anthropic's models accept of thinking and sampling, by the version in their names.

Source: the model list and the capability types of Anthropic's SDK 2.11 (``types/model.py``, ``types/thinking_types.py``).
Models from version 4.6 on accept adaptive thinking; from 3.7 on, a budget; older ones do not think. From 4.7 on they answer 400
to a temperature, ``top_p`` or ``top_k`` other than the default (Anthropic's thinking guide, section "Sampling parameters"); from 5
on they think without being asked, and most of them accept that it is switched off ("What's new in Claude Opus 5").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

from msgspec import Raw

from proxy.translation.dialects.base import EncodeTarget
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
_FIRST_WITHOUT_SAMPLING = (4, 7)
_FIRST_THINKING_BY_DEFAULT = (5, 0)
_VERSIONS_WITH_SAMPLING = frozenset({"", "2023-01-01", "2023-06-01", "bedrock-2023-05-31"})
"""API versions that have sampling fields; ``2026-10-21`` removed them (Anthropic, "API versions")."""
_VERSION_FIELD = "anthropic_version"
"""The field of a Bedrock body with the API version."""
_ALWAYS_THINKING = ("claude-mythos", "claude-fable")
"""Model lines that think in every request: they refuse thinking of type ``disabled``."""


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


def accepts_sampling(target: EncodeTarget, fields: Mapping[str, Raw]) -> bool:
    """Whether ``target`` accepts ``temperature``, ``top_p`` and ``top_k``: the quirk if it is set, else by the versions of API and model.

    ``fields``: those of a client's body that is forwarded, which may hold the API version.
    """
    if target.quirks.no_sampling is not None:
        return not target.quirks.no_sampling
    versions = {target.version, bytes(fields.get(_VERSION_FIELD, b'""')).strip(b'"').decode(errors="replace")}
    if not versions <= _VERSIONS_WITH_SAMPLING:
        return False
    version = model_version(target.model)
    return not any(name in target.model for name in _ALWAYS_THINKING) and (version is None or version < _FIRST_WITHOUT_SAMPLING)


def thinks_by_default(model: str) -> bool:
    """Whether ``model`` thinks in requests without ``thinking``."""
    version = model_version(model)
    return not can_stop_thinking(model) or (version is not None and version >= _FIRST_THINKING_BY_DEFAULT)


def can_stop_thinking(model: str) -> bool:
    """Whether ``model`` accepts thinking of type ``disabled``."""
    return not any(name in model for name in _ALWAYS_THINKING)

"""``thinkingConfig``, in both directions (docs/wire-formats.md, section 16.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_args

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Effort, ReasoningSetting, Request
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.gemini.wire import FAMILY, generation, is_present
from proxy.translation.errors import ClientMistake
from proxy.translation.thinking_budgets import effort_of

BUDGETS: Mapping[str, int] = {"minimal": 1024, "low": 1024, "medium": 8192, "high": 24576, "xhigh": 24576, "max": 24576}
"""Thinking tokens for each effort, for models of generation 2 (Google: OpenAI compatibility)."""
_SHOWN, _HIDDEN = "summarized", "omitted"
_AT = "generationConfig.thinkingConfig"
_EFFORTS = frozenset(get_args(Effort))


class _ThinkingConfig(msgspec.Struct):
    includeThoughts: bool | None = None  # noqa: N815
    thinkingBudget: int | None = None  # noqa: N815
    thinkingLevel: str | None = None  # noqa: N815


_CONFIG = msgspec.json.Decoder(_ThinkingConfig)


def decode_thinking(raw: Raw) -> ReasoningSetting | None:
    """The setting; ``None`` without one. Raises :class:`ClientMistake`."""
    if not is_present(raw):
        return None
    config = json_wire.decode(raw, _CONFIG, at=_AT)
    display, summary = (_SHOWN, "auto") if config.includeThoughts else (_HIDDEN, None)
    level, budget = (config.thinkingLevel or "").lower(), config.thinkingBudget
    if level and level != "thinking_level_unspecified":
        if level not in _EFFORTS:
            raise ClientMistake(f"{_AT}.thinkingLevel: {config.thinkingLevel!r} is not a valid level", param=f"{_AT}.thinkingLevel")
        effort = msgspec.convert(level, Effort)
        return ReasoningSetting(mode="effort", effort=effort, display=display, summary=summary)
    if budget == 0:
        return ReasoningSetting(mode="disabled", display=display)
    if budget is not None and budget > 0:
        return ReasoningSetting(mode="budget", budget=budget, effort=effort_of(budget), display=display, summary=summary)
    if budget is not None:
        return ReasoningSetting(mode="adaptive", display=display, summary=summary)
    return ReasoningSetting(mode="effort", display=display, summary=summary)


def shows_thoughts(request: Request) -> bool:
    """Whether a client of this dialect gets thoughts: it set ``includeThoughts``."""
    return request.reasoning is not None and request.reasoning.display == _SHOWN


def encode_thinking(request: Request, target: EncodeTarget) -> dict[str, Any] | None:
    """``thinkingConfig``; ``None`` if it is not sent."""
    setting = request.reasoning
    if setting is None:
        return None
    by_level = generation(target.model) >= 3
    if setting.mode == "disabled" or setting.effort == "none":
        return {"thinkingLevel": "MINIMAL"} if by_level else {"thinkingBudget": 0}
    config: dict[str, Any] = {"includeThoughts": True} if _is_wanted(request, setting) else {}
    if setting.mode == "budget" and setting.budget is not None and (request.family == FAMILY or not by_level):
        config["thinkingBudget"] = setting.budget if request.family == FAMILY else min(setting.budget, BUDGETS["max"])
    elif setting.effort is not None or setting.budget is not None:
        effort = setting.effort or effort_of(setting.budget or 0)
        config |= {"thinkingLevel": _level(effort, target)} if by_level else {"thinkingBudget": BUDGETS[effort]}
    elif setting.mode == "adaptive" and not by_level:
        config["thinkingBudget"] = -1
    return config or None


def _is_wanted(request: Request, setting: ReasoningSetting) -> bool:
    """Whether the client shows thoughts. Responses clients do if they asked for a summary, all others unless they hide them."""
    if request.family == "openai_responses":
        return setting.summary is not None
    return setting.display != _HIDDEN


def _level(effort: str, target: EncodeTarget) -> str:
    if effort not in target.quirks.efforts and effort in ("xhigh", "max"):
        effort = "high"
    return effort.upper()

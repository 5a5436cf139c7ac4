"""Thinking, output limit and sampling, which depend on one another (docs/wire-formats.md, sections 7.8 and 7.9).

The API answers 400 to ``thinking`` of type ``enabled`` together with a forced tool, with ``temperature`` or ``top_k``, with a
budget outside 1024 … ``max_tokens``, and in a tool loop whose last assistant message has no thinking block.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Effort, ReasoningSetting, Request
from proxy.translation.dialects.anthropic.models import (
    accepts_sampling,
    can_stop_thinking,
    supports_xhigh,
    thinking_style,
    thinks_by_default,
)
from proxy.translation.dialects.anthropic.wire import ABSENT, is_present
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.errors import ClientMistake
from proxy.translation.thinking_budgets import MIN_BUDGET, effort_of

MIN_MAX_TOKENS = 1024
"""The least output limit that the gateway sends where the client gave none."""

_MIN_TOP_P = 0.95
"""With thinking the API refuses a lower ``top_p``."""

BUDGETS: dict[str, int] = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}
"""Thinking tokens for each effort, for models that accept budgets only."""

_WIRE_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: Raw = ABSENT


_THINKING = msgspec.json.Decoder(_Thinking)
_OUTPUT_CONFIG = msgspec.json.Decoder(_OutputConfig)
_CANONICAL_EFFORTS: dict[str, Effort] = {
    "minimal": "minimal",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}


def decode_output_config(raw: Raw) -> tuple[Effort | None, Raw]:
    """The effort and the JSON of the output format. Raises :class:`ClientMistake`."""
    if not is_present(raw):
        return None, ABSENT
    config = json_wire.decode(raw, _OUTPUT_CONFIG, at="output_config")
    effort = decode_effort(config.effort, at="output_config.effort") if config.effort is not None else None
    return effort, config.format


def decode_effort(effort: str, *, at: str) -> Effort:
    """Raises :class:`ClientMistake` with the path ``at`` for a value that the API does not have."""
    if effort not in _CANONICAL_EFFORTS:
        raise ClientMistake(f"{at}: {effort!r} is not a valid effort", param=at)
    return _CANONICAL_EFFORTS[effort]


def decode_thinking(raw: Raw, effort: Effort | None) -> ReasoningSetting | None:
    """The setting in ``thinking``, or the one that ``effort`` alone implies.

    Raises :class:`ClientMistake` for an unknown type, and for ``enabled`` without a budget.
    """
    if not is_present(raw):
        return ReasoningSetting(mode="effort", effort=effort) if effort else None
    thinking = json_wire.decode(raw, _THINKING, at="thinking")
    match thinking.type:
        case "enabled":
            if thinking.budget_tokens is None or thinking.budget_tokens < 0:
                raise ClientMistake("thinking.budget_tokens: Field required", param="thinking.budget_tokens")
            return ReasoningSetting(mode="budget", budget=thinking.budget_tokens, effort=effort, display=thinking.display)
        case "adaptive" | "between_tools" | "disabled" as mode:
            return ReasoningSetting(mode=mode, effort=effort, display=thinking.display)
    raise ClientMistake("thinking.type: must be enabled, adaptive, between_tools or disabled", param="thinking.type")


class ThinkingPlan(msgspec.Struct, frozen=True, kw_only=True):
    """The fields to send; a field that is ``None`` is not sent."""

    max_tokens: int
    thinking: dict[str, Any] | None = None
    effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


def plan_thinking(request: Request, target: EncodeTarget, *, native: bool, loop_broken: bool) -> ThinkingPlan:
    """The fields for length, thinking and sampling of ``request``.

    ``native``: the client is of this family, so that its settings are sent unchanged. ``loop_broken``: the conversation is
    inside a tool loop whose last assistant message has no thinking block.
    """
    setting = _native_setting(request, target) if native else _foreign_setting(request, target)
    effort = _effort(setting, target.model, native=native)
    budget = setting.budget if setting is not None and setting.mode == "budget" else None
    if budget is not None and (loop_broken or (request.tool_choice is not None and request.tool_choice.mode in ("required", "tool"))):
        setting, budget = None, None
    room = _adaptive_room(setting) if not native else 0
    max_tokens, budget = _limits(request, target, budget, room=room, clamp=not native)
    thinking = _encode_thinking(setting, budget)
    is_on = thinking is not None and thinking["type"] in ("enabled", "adaptive")
    plan = ThinkingPlan(max_tokens=max_tokens, thinking=thinking, effort=effort)
    return plan if not native and not accepts_sampling(target, {}) else _with_sampling(plan, request, is_on=is_on)


def _with_sampling(plan: ThinkingPlan, request: Request, *, is_on: bool) -> ThinkingPlan:
    """``plan`` with the sampling fields that the API accepts. ``is_on``: the model is asked to think."""
    temperature = None if is_on or request.temperature is None else min(request.temperature, 1.0)
    top_p = request.top_p if temperature is None else None
    if is_on and top_p is not None and top_p < _MIN_TOP_P:
        top_p = None
    return msgspec.structs.replace(plan, temperature=temperature, top_p=top_p, top_k=None if is_on else request.top_k)


def _native_setting(request: Request, target: EncodeTarget) -> ReasoningSetting | None:
    """The setting of a client of this family, converted if ``Quirks.thinking_style`` prescribes a style."""
    setting, style = request.reasoning, target.quirks.thinking_style
    if setting is None or style == "auto":
        return setting
    if style == "adaptive" and setting.mode == "budget":
        return ReasoningSetting(mode="adaptive", effort=setting.effort or effort_of(setting.budget or 0), display=setting.display)
    if style == "enabled" and setting.mode == "adaptive":
        return ReasoningSetting(
            mode="budget", budget=_fit_budget(BUDGETS[setting.effort or "high"], request.max_tokens), display=setting.display
        )
    if style == "enabled" and setting.mode in ("between_tools", "effort"):
        return None
    return setting


def _foreign_setting(request: Request, target: EncodeTarget) -> ReasoningSetting | None:
    """The effort of a client of another family, in the style of the model; ``None`` if nothing is sent.

    Chat clients always show reasoning, Responses clients if they asked for a summary: newer models leave its text out by default.
    """
    setting = request.reasoning
    if setting is None:
        return None
    if setting.effort == "none" or setting.mode == "disabled":
        return _off_setting(target.model)
    style = thinking_style(target.model, target.quirks)
    if style == "adaptive" and (setting.effort is not None or setting.summary is not None):
        is_shown = setting.summary is not None or request.family != "openai_responses"
        return ReasoningSetting(mode="adaptive", effort=setting.effort, display="summarized" if is_shown else None)
    budget = setting.budget or BUDGETS.get(setting.effort or "")
    return ReasoningSetting(mode="budget", budget=budget) if style == "enabled" and budget else None


def _off_setting(model: str) -> ReasoningSetting | None:
    """The setting of a client that wants no thinking: nothing for models that do not think anyway."""
    if not thinks_by_default(model):
        return None
    return ReasoningSetting(mode="disabled") if can_stop_thinking(model) else ReasoningSetting(mode="effort", effort="low")


def _adaptive_room(setting: ReasoningSetting | None) -> int:
    """Tokens of adaptive thinking on top of the default output limit, which covers the answer alone."""
    return BUDGETS[setting.effort or "high"] if setting is not None and setting.mode == "adaptive" else 0


def _effort(setting: ReasoningSetting | None, model: str, *, native: bool) -> str | None:
    if setting is None or setting.effort is None or setting.effort == "none":
        return None
    effort = _WIRE_EFFORTS[setting.effort]
    return "high" if effort == "xhigh" and not native and not supports_xhigh(model) else effort


def _limits(request: Request, target: EncodeTarget, budget: int | None, *, room: int, clamp: bool) -> tuple[int, int | None]:
    """``max_tokens``, and the budget, with ``clamp`` reduced to fit below it. A limit that the client set is never raised.

    ``room``: tokens of adaptive thinking, which has no budget.
    """
    limit = default_max_tokens(target, thinking=budget or room) if request.max_tokens is None else request.max_tokens
    return limit, _fit_budget(budget, limit) if clamp else budget


def default_max_tokens(target: EncodeTarget, *, thinking: int) -> int:
    """``max_tokens`` of a request without one; ``thinking``: tokens that it needs besides its answer."""
    return max(MIN_MAX_TOKENS + thinking if target.max_output_tokens is None else MIN_MAX_TOKENS, target.default_limit(thinking=thinking))


def _fit_budget(budget: int | None, max_tokens: int | None) -> int | None:
    """The budget, reduced so that ``MIN_BUDGET`` of ``max_tokens`` remain for the answer; ``None`` if there is no room to think."""
    if budget is None or max_tokens is None:
        return budget
    if max_tokens <= MIN_BUDGET:
        return None
    return min(budget, max(MIN_BUDGET, max_tokens - MIN_BUDGET))


def _encode_thinking(setting: ReasoningSetting | None, budget: int | None) -> dict[str, Any] | None:
    if setting is None or setting.mode == "effort":
        return None
    display = {"display": setting.display} if setting.display else {}
    if setting.mode == "budget":
        return {"type": "enabled", "budget_tokens": budget, **display} if budget is not None else None
    return {"type": setting.mode, **(display if setting.mode == "adaptive" else {})}

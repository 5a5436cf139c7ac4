"""How much to think: the setting, the output limit and the sampling fields, which depend on one another.

Wire formats, sections 7.8 and 7.9. The API refuses manual thinking (``enabled``) with a forced tool, with sampling, with a
budget outside 1024 … max_tokens, and in a tool loop whose last assistant turn lost its thinking block.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Effort, ReasoningSetting, Request
from proxy.translation.dialects.anthropic.models import knows_xhigh, thinking_style
from proxy.translation.dialects.anthropic.wire import NOTHING, present
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.errors import ClientMistake

MIN_BUDGET = 1024
LEAST_MAX_TOKENS = 1024
_LEAST_TOP_P = 0.95
"""With thinking the API takes ``top_p`` only from here on."""

BUDGETS: dict[str, int] = {"minimal": 1024, "low": 2048, "medium": 8192, "high": 16384, "xhigh": 24576, "max": 32768}
_EFFORT_OF_BUDGET = ((4096, "low"), (12288, "medium"), (32768, "high"))
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: Raw = NOTHING


_THINKING = msgspec.json.Decoder(_Thinking)
_OUTPUT_CONFIG = msgspec.json.Decoder(_OutputConfig)
_KNOWN_EFFORTS: dict[str, Effort] = {"minimal": "minimal", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}


def decode_output_config(raw: Raw) -> tuple[Effort | None, Raw]:
    """The effort and the JSON of the output format; raises :class:`ClientMistake`."""
    if not present(raw):
        return None, NOTHING
    config = json_wire.decode(raw, _OUTPUT_CONFIG, at="output_config")
    if config.effort is not None and config.effort not in _KNOWN_EFFORTS:
        raise ClientMistake(f"output_config.effort: {config.effort!r} is not an effort", param="output_config.effort")
    return (_KNOWN_EFFORTS[config.effort] if config.effort else None), config.format


def decode_thinking(raw: Raw, effort: Effort | None) -> ReasoningSetting | None:
    """Raises :class:`ClientMistake` for a type that does not exist, and for ``enabled`` without a budget."""
    if not present(raw):
        return ReasoningSetting(mode="effort", effort=effort) if effort else None
    thinking = json_wire.decode(raw, _THINKING, at="thinking")
    match thinking.type:
        case "enabled":
            if thinking.budget_tokens is None or thinking.budget_tokens < 0:
                raise ClientMistake("thinking.budget_tokens: Field required", param="thinking.budget_tokens")
            return ReasoningSetting(mode="budget", budget=thinking.budget_tokens, effort=effort, display=thinking.display)
        case "adaptive" | "between_tools" | "disabled" as mode:
            return ReasoningSetting(mode=mode, effort=effort, display=thinking.display)
    raise ClientMistake("thinking.type: one of enabled, adaptive, between_tools or disabled is expected", param="thinking.type")


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """The fields that go up; ``None`` leaves one out."""

    max_tokens: int
    thinking: dict[str, Any] | None = None
    effort: str | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None


def plan(request: Request, destination: EncodeTarget, *, native: bool, loop_broken: bool) -> Plan:
    """Everything about length, thinking and sampling of ``request``.

    ``native``: the client speaks this dialect, so its own words are kept. ``loop_broken``: the conversation stands inside a tool
    loop whose last assistant turn has no thinking block.
    """
    asked = _native_setting(request, destination) if native else _foreign_setting(request, destination)
    effort = _effort(asked, destination.model, native=native)
    budget = asked.budget if asked is not None and asked.mode == "budget" else None
    if budget is not None and (loop_broken or (request.tool_choice is not None and request.tool_choice.mode in ("required", "tool"))):
        asked, budget = None, None
    max_tokens, budget = _limits(request, destination, budget, clamp=not native)
    thinking = _encode_thinking(asked, budget)
    is_on = thinking is not None and thinking["type"] in ("enabled", "adaptive")
    temperature = None if is_on or request.temperature is None else min(request.temperature, 1.0)
    top_p = request.top_p if temperature is None else None
    if is_on and top_p is not None and top_p < _LEAST_TOP_P:
        top_p = None
    top_k = None if is_on else request.top_k
    return Plan(max_tokens=max_tokens, thinking=thinking, effort=effort, temperature=temperature, top_p=top_p, top_k=top_k)


def _native_setting(request: Request, destination: EncodeTarget) -> ReasoningSetting | None:
    """The client's own setting, put into the style that the upstream's quirks prescribe, if they do."""
    asked, style = request.reasoning, destination.quirks.thinking_style
    if asked is None or style == "auto":
        return asked
    if style == "adaptive" and asked.mode == "budget":
        return ReasoningSetting(mode="adaptive", effort=asked.effort or _effort_of_budget(asked.budget or 0), display=asked.display)
    if style == "enabled" and asked.mode == "adaptive":
        return ReasoningSetting(mode="budget", budget=_fitting(BUDGETS[asked.effort or "high"], request.max_tokens), display=asked.display)
    if style == "enabled" and asked.mode in ("between_tools", "effort"):
        return None
    return asked


def _foreign_setting(request: Request, destination: EncodeTarget) -> ReasoningSetting | None:
    """An effort asked for in another dialect, in the style of the model; none where the model cannot think."""
    asked = request.reasoning
    if asked is None or asked.effort is None or asked.effort == "none" or asked.mode == "disabled":
        return None
    style = thinking_style(destination.model, destination.quirks)
    if style == "adaptive":
        return ReasoningSetting(mode="adaptive", effort=asked.effort)
    return ReasoningSetting(mode="budget", budget=BUDGETS[asked.effort]) if style == "enabled" else None


def _effort(asked: ReasoningSetting | None, model: str, *, native: bool) -> str | None:
    if asked is None or asked.effort is None or asked.effort == "none":
        return None
    effort = _EFFORTS[asked.effort]
    return "high" if effort == "xhigh" and not native and not knows_xhigh(model) else effort


def _effort_of_budget(budget: int) -> Effort:
    for limit, effort in _EFFORT_OF_BUDGET:
        if budget < limit:
            return _KNOWN_EFFORTS[effort]
    return "xhigh"


def _limits(request: Request, destination: EncodeTarget, budget: int | None, *, clamp: bool) -> tuple[int, int | None]:
    """``max_tokens`` and the budget below it. A limit that the client set is never raised."""
    if request.max_tokens is not None:
        return request.max_tokens, _fitting(budget, request.max_tokens) if clamp else budget
    if destination.max_output_tokens is not None:
        limit = max(LEAST_MAX_TOKENS, destination.max_output_tokens)
        return limit, _fitting(budget, limit) if clamp else budget
    return max(LEAST_MAX_TOKENS, destination.default_max_output_tokens) + (budget or 0), budget


def _fitting(budget: int | None, max_tokens: int | None) -> int | None:
    """The budget that fits below ``max_tokens`` and leaves the answer room too, where there is any."""
    if budget is None or max_tokens is None:
        return budget
    if max_tokens <= MIN_BUDGET:
        return None
    return min(budget, max(MIN_BUDGET, max_tokens - MIN_BUDGET))


def _encode_thinking(asked: ReasoningSetting | None, budget: int | None) -> dict[str, Any] | None:
    if asked is None or asked.mode == "effort":
        return None
    shown = {"display": asked.display} if asked.display else {}
    if asked.mode == "budget":
        return {"type": "enabled", "budget_tokens": budget, **shown} if budget is not None else None
    return {"type": asked.mode, **(shown if asked.mode == "adaptive" else {})}

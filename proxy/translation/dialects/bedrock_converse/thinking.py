"""Thinking, limits and sampling (docs/wire-formats.md, section 17.5).

Claude takes Anthropic's ``thinking`` in ``additionalModelRequestFields`` and an effort in ``outputConfig``; its rules are those of
:mod:`proxy.translation.dialects.anthropic.thinking`. Other models take an effort alone.
"""

from __future__ import annotations

from typing import Any, get_args

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Effort, ReasoningSetting, Request
from proxy.translation.dialects.anthropic.models import model_version
from proxy.translation.dialects.anthropic.thinking import ThinkingPlan, decode_thinking, plan_thinking
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.bedrock_converse.wire import FAMILY
from proxy.translation.errors import ClientMistake
from proxy.translation.thinking_budgets import effort_of

_STRING = msgspec.json.Decoder(str)
_EFFORTS = frozenset(get_args(Effort))


def is_claude(model: str) -> bool:
    """Whether a remote name is that of one of Anthropic's models, also of an inference profile."""
    return model_version(model) is not None or "anthropic." in model or "claude" in model


def decode_setting(thinking: Raw, effort: Raw) -> ReasoningSetting | None:
    """The setting of ``additionalModelRequestFields.thinking`` and ``outputConfig.effort``. Raises :class:`ClientMistake`."""
    name = json_wire.decode(effort, _STRING, at="outputConfig.effort").lower() if effort and bytes(effort) != b"null" else ""
    if name and name not in _EFFORTS:
        raise ClientMistake(f"outputConfig.effort: {name!r} is not a valid effort", param="outputConfig.effort")
    return decode_thinking(thinking, msgspec.convert(name, Effort) if name else None)


def plan(request: Request, target: EncodeTarget, *, loop_broken: bool) -> ThinkingPlan:
    """The fields to send. ``loop_broken``: as in Anthropic's dialect."""
    if is_claude(target.model):
        return plan_thinking(request, target, native=request.family == FAMILY, loop_broken=loop_broken)
    setting = request.reasoning
    effort: str | None = None
    if setting is not None and setting.mode != "disabled" and setting.effort != "none":
        effort = setting.effort or (effort_of(setting.budget) if setting.budget else None)
        effort = "high" if effort in ("xhigh", "max") and request.family != FAMILY else effort
    temperature = request.temperature if request.temperature is None else min(request.temperature, 1.0)
    return ThinkingPlan(
        max_tokens=request.max_tokens or 0, effort=effort, temperature=temperature, top_p=request.top_p, top_k=request.top_k
    )


def model_fields(planned: ThinkingPlan) -> dict[str, Any]:
    """The ``additionalModelRequestFields`` of a plan."""
    fields: dict[str, Any] = {} if planned.thinking is None else {"thinking": planned.thinking}
    return fields if planned.top_k is None else {**fields, "top_k": planned.top_k}

"""What stands where in a Messages body, and what its encoder has no form of: for the list of what a translation drops."""

from __future__ import annotations

from proxy.translation.canonical import Opaque, Reasoning, Request
from proxy.translation.dialects.anthropic.wire import FAMILY
from proxy.translation.dialects.base import EncodeTarget, Places

PLACES = Places(
    settings={
        "stop": ("stop_sequences",),
        "reasoning": ("thinking.type", "thinking.budget_tokens", "output_config.effort"),
        "display": ("thinking.display",),
        "summary": ("thinking.display", "thinking.type"),
        "output": ("output_config.format", "output_format"),
        "end_user": ("metadata.user_id",),
        "tool_choice": ("tool_choice.type", "tool_choice.name"),
        "parallel_tool_calls": ("tool_choice.disable_parallel_tool_use",),
    },
    objects=frozenset({"thinking", "output_config", "metadata", "tool_choice"}),
    quiet=frozenset({"model", "messages", "system", "tools", "stream", "anthropic_version"}),
    defaults={"tool_choice.disable_parallel_tool_use": False},
    system="system[]",
    reasoning=("messages[].content[]",),
)


def leaves_out(request: Request, _target: EncodeTarget) -> frozenset[str]:
    """See :class:`~proxy.translation.dialects.base.Dialect`."""
    if request.family == FAMILY:
        return frozenset()
    return frozenset({"name", "detail", "reasoning", "output_name", "output_strict", "output_description"})


def keeps(part: Reasoning | Opaque, _request: Request, target: EncodeTarget) -> bool:
    """Whether a part is of this family; thinking must be signed, where the upstream requires that."""
    if isinstance(part, Opaque):
        return part.family == FAMILY
    if part.seal is None or part.seal.origin != FAMILY:
        return False
    return bool(part.seal.fields.get("redacted") or part.seal.fields.get("signature")) or target.quirks.unsigned_thinking

"""What stands where in an InvokeModel body: a Messages body, whose tool search needs a beta."""

from __future__ import annotations

from proxy.translation.canonical import Opaque, Reasoning, Request
from proxy.translation.dialects.anthropic import places as messages
from proxy.translation.dialects.anthropic.places import PLACES
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.bedrock.request_encode import has_tool_search, is_of_tool_search

__all__ = ["PLACES", "keeps", "leaves_out"]


def leaves_out(request: Request, target: EncodeTarget) -> frozenset[str]:
    """See :class:`~proxy.translation.dialects.base.Dialect`."""
    left_out = messages.leaves_out(request, target)
    return left_out if target.quirks.late_system_native else left_out | {"late_system"}


def keeps(part: Reasoning | Opaque, request: Request, target: EncodeTarget) -> bool:
    """Whether a part is of this family and needs no beta that is not sent."""
    if isinstance(part, Opaque) and is_of_tool_search(part) and not has_tool_search(request, target):
        return False
    return messages.keeps(part, request, target)

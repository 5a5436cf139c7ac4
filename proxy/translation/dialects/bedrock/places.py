"""What stands where in an InvokeModel body: a Messages body, whose tool search needs a beta."""

from __future__ import annotations

import msgspec

from proxy.translation.canonical import Opaque, Reasoning, Request
from proxy.translation.dialects.anthropic import places as messages
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.bedrock.request_encode import has_tool_search, is_of_tool_search, refused_cache_fields

__all__ = ["PLACES", "keeps", "leaves_out"]


PLACES = msgspec.structs.replace(
    messages.PLACES,
    settings={**messages.PLACES.settings, "cache_control": ("cache_control", "messages")},  # it moves to the last block
)


def leaves_out(request: Request, target: EncodeTarget) -> frozenset[str]:
    """See :class:`~proxy.translation.dialects.base.Dialect`."""
    late_system = () if target.quirks.late_system_native else ("late_system",)
    refused_fields = (f"cache.{name}" for name in refused_cache_fields(request, target))
    return messages.leaves_out(request, target).union(late_system, refused_fields)


def keeps(part: Reasoning | Opaque, request: Request, target: EncodeTarget) -> bool:
    """Whether a part is of this family and needs no beta that is not sent."""
    if isinstance(part, Opaque) and is_of_tool_search(part) and not has_tool_search(request, target):
        return False
    return messages.keeps(part, request, target)

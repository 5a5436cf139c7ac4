"""The field ``moderation``, which Chat and Responses share (docs/wire-formats.md, section 6.3)."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Demand

CARRIED_BY = ("openai_chat", "openai_responses")
"""The dialects that have the field."""


class _Moderation(msgspec.Struct):
    policy: dict[str, Any] | None = None


_DECODER = msgspec.json.Decoder(_Moderation | None)


def moderation_demands(moderation: msgspec.Raw | None) -> tuple[Demand, ...]:
    """A demand if the policy changes the response, that is, if one of its modes is ``block``. Raises :class:`ClientMistake`."""
    settings = json_wire.decode(moderation, _DECODER, at="moderation") if moderation else None
    policy = settings.policy if settings is not None else None
    if not any(isinstance(side, dict) and side.get("mode") == "block" for side in (policy or {}).values()):
        return ()
    return (Demand(field="moderation", message="moderation: this model's upstream cannot moderate the response", carried_by=CARRIED_BY),)

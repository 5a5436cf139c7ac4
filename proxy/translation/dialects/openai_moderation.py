"""The field ``moderation``, which Chat and Responses have in common."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Demand


class _Moderation(msgspec.Struct):
    policy: dict[str, Any] | None = None


_DECODER = msgspec.json.Decoder(_Moderation | None)


def moderation_demands(raw: msgspec.Raw | None) -> tuple[Demand, ...]:
    """A demand if the policy changes the response: one of its modes is ``block``."""
    if not raw:
        return ()
    settings = json_wire.decode(raw, _DECODER, at="moderation")
    policy = settings.policy if settings is not None else None
    if not any(isinstance(side, dict) and side.get("mode") == "block" for side in (policy or {}).values()):
        return ()
    message = "moderation: this model's upstream cannot moderate the response"
    return (Demand(field="moderation", message=message, carried_by=("openai_chat", "openai_responses")),)

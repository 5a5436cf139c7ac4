"""What stands where in an InvokeModel body: a Messages body, with the names of betas in it."""

from __future__ import annotations

import msgspec

from proxy.translation.dialects.anthropic.places import PLACES as MESSAGES_PLACES
from proxy.translation.dialects.anthropic.places import leaves_out, returns_reasoning

__all__ = ["PLACES", "leaves_out", "returns_reasoning"]

PLACES = msgspec.structs.replace(MESSAGES_PLACES)

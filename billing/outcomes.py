"""How a request or an attempt can end: the one list of outcomes for types, database choices, API and admin. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Outcome = Literal["finished", "failed", "cancelled", "rejected"]

OUTCOME_LABELS: Final[Mapping[Outcome, str]] = {
    "finished": "Finished",
    "failed": "Failed",
    "cancelled": "Cancelled by the client",
    "rejected": "Rejected by pxbin",
}
"""Each outcome with its name for people, in the order in which they are listed."""
OUTCOMES: Final[tuple[Outcome, ...]] = tuple(OUTCOME_LABELS)

"""How a request or an attempt can end: the one list of outcomes for types, database choices, API and admin. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final


class Outcome(StrEnum):
    """The values are those of journal lines, of the log's column and of the API, in the order in which they are listed."""

    FINISHED = "finished"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REJECTED = "rejected"


OUTCOME_LABELS: Final[Mapping[Outcome, str]] = {
    Outcome.FINISHED: "Finished",
    Outcome.FAILED: "Failed",
    Outcome.CANCELLED: "Cancelled by the client",
    Outcome.REJECTED: "Rejected by pxbin",
}
"""Each outcome with its name for people."""

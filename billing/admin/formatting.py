"""How amounts, times and names from the log are written for people."""

from __future__ import annotations

from decimal import Decimal

from django.template.loader import render_to_string

from billing.models import Outcome
from proxy.translation.dialects.lookup import PASSTHROUGH
from proxy.translation.dialects.registry import REGISTRY

OUTCOME_LEVELS = {Outcome.FINISHED: "success", Outcome.FAILED: "danger", Outcome.CANCELLED: "info", Outcome.REJECTED: "warning"}
OUTCOME_WORDS = {Outcome.FINISHED: "finished", Outcome.FAILED: "failed", Outcome.CANCELLED: "cancelled", Outcome.REJECTED: "rejected"}

DIALECTS = {**{dialect.name: dialect.short_title for dialect in REGISTRY.values()}, PASSTHROUGH: "passed through"}
"""The protocols as people call them; what is not listed is shown as it is."""


THOUSAND = 1000
NONE = "-"
"""Stands where there is nothing to show."""


def dollars(amount: Decimal | None) -> str:
    """An amount as people read it: two decimal places, or as many more as say something. What is not known is not 0."""
    if amount is None:
        return "unknown"
    text = f"{amount.normalize():,f}"
    whole, _, places = text.partition(".")
    return f"${whole}.{places:0<2}"


def about(amount: Decimal) -> str:
    """An amount in a narrow place: whole dollars of thousands, cents, or four digits of what is less than a dollar."""
    size = abs(amount)
    places = 0 if size >= THOUSAND else 2 if size >= 1 or not size else 3 - size.adjusted()
    rounded = round(amount, places)
    return f"${rounded:,f}" if size >= THOUSAND else dollars(rounded)


def milliseconds(value: float | None, *, places: int = 0) -> str:
    """A duration; a dash where there is none."""
    return NONE if value is None else f"{value:,.{places}f} ms"


def dialect(name: str) -> str:
    """What a protocol is called."""
    return DIALECTS.get(name, name.replace("_", " "))


def between(client: str, upstream: str) -> str:
    """What was spoken on both sides: ``Messages → Chat``, or one name where nothing was translated."""
    if not upstream or upstream in (client, PASSTHROUGH):
        return dialect(client)
    return f"{dialect(client)} → {dialect(upstream)}"


def label(text: str, level: str = "") -> str:
    """A coloured label."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": level})


def outcome(value: str, status: int | None) -> str:
    """How something ended, as a label with its status."""
    words = OUTCOME_WORDS.get(Outcome(value), value) if value in Outcome.values else value
    return label(f"{words} {status}" if status else words, OUTCOME_LEVELS.get(Outcome(value), "") if value in Outcome.values else "")

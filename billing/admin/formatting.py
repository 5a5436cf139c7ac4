"""How amounts, times and names from the log are written for people."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from django.template.loader import render_to_string

OUTCOME_LEVELS: Mapping[str, str] = {"finished": "success", "failed": "danger", "cancelled": "info", "rejected": "warning"}
"""The colour of an outcome's label, as Unfold names it."""

DIALECTS = {
    "anthropic": "Messages",
    "openai_chat": "Chat",
    "openai_responses": "Responses",
    "bedrock": "Bedrock",
    "passthrough": "passed through",
}
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
    if not upstream or upstream in (client, "passthrough"):
        return dialect(client)
    return f"{dialect(client)} → {dialect(upstream)}"


def label(text: str, level: str = "") -> str:
    """A coloured label."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": level})


def outcome(value: str, status: int | None) -> str:
    """How something ended, as a label with its status."""
    return label(f"{value} {status}" if status else value, OUTCOME_LEVELS.get(value, ""))

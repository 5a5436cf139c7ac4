"""Formats of amounts, durations and names of the log for people."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from django.template.loader import render_to_string

from billing.outcomes import Outcome
from proxy.translation.dialects.lookup import PASSTHROUGH
from proxy.translation.dialects.registry import REGISTRY

OUTCOME_LEVELS: Mapping[str, str] = {
    Outcome.FINISHED: "success",
    Outcome.FAILED: "danger",
    Outcome.CANCELLED: "info",
    Outcome.REJECTED: "warning",
}
"""The colour of an outcome's label, as Unfold names it."""

DIALECT_TITLES = {**{dialect.name: dialect.short_title for dialect in REGISTRY.values()}, PASSTHROUGH: "passthrough"}
"""Short names of API formats; others are shown by their own name."""


THOUSAND = 1000
NONE = "-"
"""Shown where there is no value."""


def dollars(amount: Decimal | None) -> str:
    """An amount with at least two decimal places and without other trailing zeros (`$0.50`, `$0.000125`); `unknown` for `None`."""
    if amount is None:
        return "unknown"
    text = f"{amount.normalize():,f}"
    whole, _, places = text.partition(".")
    return f"${whole}.{places:0<2}"


def rounded_dollars(amount: Decimal) -> str:
    """A short form: whole dollars from $1,000, cents from $1, four significant digits below."""
    size = abs(amount)
    places = 0 if size >= THOUSAND else 2 if size >= 1 or not size else 3 - size.adjusted()
    rounded = round(amount, places)
    return f"${rounded:,f}" if size >= THOUSAND else dollars(rounded)


def milliseconds(value: float | None, *, places: int = 0) -> str:
    """A duration, or :data:`NONE`."""
    return NONE if value is None else f"{value:,.{places}f} ms"


def dialect_title(name: str) -> str:
    """The name of an API format for people."""
    return DIALECT_TITLES.get(name, name.replace("_", " "))


def translation_title(client: str, upstream: str) -> str:
    """The API formats of client and upstream (``Messages → Chat``), or one name if the request was not translated."""
    if not upstream or upstream in (client, PASSTHROUGH):
        return dialect_title(client)
    return f"{dialect_title(client)} → {dialect_title(upstream)}"


def label(text: str, level: str = "") -> str:
    """A label as HTML; `level` is its colour, as Unfold names it."""
    return render_to_string("unfold/helpers/label.html", {"text": text, "type": level})


def outcome_label(value: str, status: int | None) -> str:
    """An outcome and its HTTP status as a coloured label (HTML)."""
    return label(f"{value} {status}" if status else value, OUTCOME_LEVELS.get(value, ""))

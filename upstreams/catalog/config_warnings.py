"""Warnings for valid settings that are probably mistakes: names of models that do not exist. Shown to whoever has saved them."""

from __future__ import annotations

from collections.abc import Iterable

from accounts.common import wildcards
from upstreams.models import Model


def model_warnings(row: Model) -> list[str]:
    """Sentences about fallbacks of a model that have no effect."""
    warnings = [f"{row} falls back to itself, which has no effect."] if row.name in row.fallbacks else []
    others = [name for name in row.fallbacks if name != row.name]
    return warnings + _missing(str(row), missing_models(others, prefixes={"", row.path_prefix}))


def key_warnings(name: str, allowed: Iterable[str] | None) -> list[str]:
    """Sentences about models that a client key may use and that do not exist; ``None``: it may use all models."""
    return [] if allowed is None else _missing(name or "This key", missing_models(allowed))


def missing_models(names: Iterable[str], *, prefixes: set[str] | None = None) -> list[str]:
    """Those of some names or patterns that match no model below the path prefixes; ``None``: below all."""
    rows = Model.objects.all() if prefixes is None else Model.objects.filter(path_prefix__in=prefixes)
    existing = {model_name for name, aliases in rows.values_list("name", "aliases") for model_name in (name, *aliases)}
    return [name for name in names if name not in existing and not any(_overlap(name, other) for other in existing)]


def _overlap(name: str, other: str) -> bool:
    """Whether one matches the other; each may be a pattern."""
    return wildcards.match(name, other) is not None or wildcards.match(other, name) is not None


def _missing(owner: str, names: list[str]) -> list[str]:
    return [f"{owner}: there is no model {' or '.join(names)} yet."] if names else []

"""What can be stored and is probably a mistake: names that mean no model. A sentence for each, for whoever has just saved it."""

from __future__ import annotations

from collections.abc import Iterable

from accounts.common import wildcards
from upstreams.models import Model


def of_model(row: Model) -> list[str]:
    """Sentences on the fallbacks of a stored model that lead nowhere."""
    told = [f"{row} falls back to itself, which changes nothing."] if row.name in row.fallbacks else []
    others = [name for name in row.fallbacks if name != row.name]
    return told + _of_names(str(row), unknown(others, prefixes={"", row.path_prefix}))


def of_key(name: str, allowed: Iterable[str] | None) -> list[str]:
    """Sentences on the models that a key may use and that are not there; ``None`` means all models."""
    return [] if allowed is None else _of_names(name or "This key", unknown(allowed))


def unknown(names: Iterable[str], *, prefixes: set[str] | None = None) -> list[str]:
    """Those names, or patterns, that mean no model below some path prefixes, or below all."""
    rows = Model.objects.all() if prefixes is None else Model.objects.filter(path_prefix__in=prefixes)
    known = {each for name, aliases in rows.values_list("name", "aliases") for each in (name, *aliases)}
    return [name for name in names if name not in known and not any(_meet(name, other) for other in known)]


def _meet(name: str, other: str) -> bool:
    """Either may be a pattern, or both."""
    return wildcards.match(name, other) is not None or wildcards.match(other, name) is not None


def _of_names(owner: str, names: list[str]) -> list[str]:
    return [f"{owner}: there is no model {' or '.join(names)} yet."] if names else []

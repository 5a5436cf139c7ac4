"""Why the targets of a plan have their order, as values, and the form in which the log, the API and the debug header show it."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec


class SkipReason(enum.Enum):
    """Why a target is left out, or put behind the others (the last four)."""

    MODEL_NOT_FOUND = enum.auto()
    MODEL_NOT_ALLOWED = enum.auto()
    NOT_SERVED = enum.auto()
    """The route, its upstream or all credentials are switched off or unreadable."""
    ANOTHER_UPSTREAM_CHOSEN = enum.auto()
    OBJECT_ELSEWHERE = enum.auto()
    """The target does not hold the remote object that the request names."""
    CAPABILITY_MISSING = enum.auto()
    NOT_ENCODABLE = enum.auto()
    """The request cannot be expressed in the target's dialect."""
    SAME_RESPONSE = enum.auto()
    """Another credential of the upstream got a response that this one would get as well."""
    COOLING = enum.auto()
    BREAKER_OPEN = enum.auto()
    CREDENTIAL_DISABLED = enum.auto()
    CONTEXT_WINDOW_TOO_SMALL = enum.auto()


class Skip(msgspec.Struct, frozen=True, kw_only=True):
    """What is left out or put back. ``text`` is for people; ``model`` is the remote name of a target, else the model's name.

    ``upstream`` and ``credential`` are names (a credential without a name: its id); ``None`` where the skip concerns no single one.
    """

    reason: SkipReason
    text: str
    model: str
    upstream: str | None = None
    credential: str | None = None


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """The first target of a plan with several, and the reason in a few words; names as in :class:`Skip`."""

    text: str
    model: str
    upstream: str
    credential: str


def decision_rows(choice: Choice | None, skips: Iterable[Skip]) -> list[dict[str, str]]:
    """The stored form of a decision (field ``routing`` of a log row): the text is in ``chosen`` or ``skipped``."""
    rows = [] if choice is None else [_row("chosen", choice)]
    rows += [_row("skipped", skip) for skip in skips]
    return rows


def _row(field: str, entry: Choice | Skip) -> dict[str, str]:
    names = {"upstream": entry.upstream, "key": entry.credential, "model": entry.model, field: entry.text}
    return {name: value for name, value in names.items() if value is not None}

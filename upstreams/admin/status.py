"""How upstreams and their keys are, in a word, its colour and a sentence, as the lists and the pages show it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from upstreams.models import Upstream, UpstreamCredential
from upstreams.routing.live_state import RoutingState

LEVELS = {
    "healthy": "success", "ready": "success", "untried": "", "off": "", "cooling": "warning", "probing": "warning", "no key": "warning",
}  # fmt: skip
"""The colours of the words; everything else is red."""


class Status(NamedTuple):
    """``word`` is also a key of :data:`LEVELS`; ``detail`` may be empty."""

    word: str
    detail: str = ""

    @property
    def level(self) -> str:
        """The colour, in the words of the theme's labels."""
        return LEVELS.get(self.word, "danger")


def of_key(row: UpstreamCredential, known: RoutingState) -> Status:
    """How a credential is. What this process has seen counts besides what the database says."""
    if not row.secret_encrypted:
        return Status("missing", row.disabled_reason or "No key is stored.")
    if not row.is_active:
        return Status("off", "Switched off by hand.")
    if row.disabled_reason:
        return Status("disabled", row.disabled_reason)
    until = _rested_at(row, known)
    return Status("cooling", _until(until, known)) if until else Status("ready")


def of_upstream(row: Upstream, keys: Iterable[UpstreamCredential], known: RoutingState) -> Status:
    """How an upstream is, by its breaker, its last test unless it has answered since, its own cooldown, and its keys."""
    if not row.is_active:
        return Status("off", "Switched off by hand.")
    state = known.breakers.state(str(row.pk))
    if state != "closed":
        return _of_breaker(state, known.breakers.open_until(str(row.pk)), known)
    tested = row.tested_at if row.tested_at and not (row.answered_at and row.answered_at > row.tested_at) else None
    if tested and row.test_error:
        return Status("test failed", f"Tested {_minute(tested, known)}: {row.test_error}")
    until = known.cooldowns.until("", "", str(row.pk))
    if until:
        return Status("cooling", _until(until, known))
    found = _of_keys(row, [of_key(key, known) for key in keys])
    if found.word != "healthy" or row.answered_at:
        return found
    if tested:
        return Status("healthy", f"{found.detail} It was well when it was tested, {_minute(tested, known)}.".lstrip())
    return Status("untried", f"{found.detail} No answered request is known yet.".lstrip())


def _of_breaker(state: str, until: float, known: RoutingState) -> Status:
    if state == "half_open":
        return Status("probing", "The circuit breaker was open; the next request decides.")
    if until > known.clock():
        return Status("breaker open", f"After failures in a row, until {_moment(until)}. Then one request is let through.")
    return Status("breaker open", "A request is under way that decides.")


def _of_keys(row: Upstream, conditions: list[Status]) -> Status:
    if not conditions:
        return Status("healthy", "The client's own key is passed on." if row.pass_client_credentials else "Called without a key.")
    usable = [each for each in conditions if each.word == "ready"]
    out = next((each for each in conditions if each.word in ("disabled", "missing")), None)
    if usable:
        return Status("healthy", "" if len(usable) == len(conditions) else f"{len(usable)} of {len(conditions)} keys are ready.")
    cooling = next((each for each in conditions if each.word == "cooling"), None)
    if cooling is not None:
        return cooling
    return Status("no usable key", out.detail) if out is not None else Status("no key", "All keys are switched off.")


def _rested_at(row: UpstreamCredential, known: RoutingState) -> float:
    """When a key is rested; 0 when it is."""
    stored = row.cooling_until.timestamp() if row.cooling_until else 0.0
    until = max(stored, known.cooldowns.credential_until(str(row.pk), str(row.upstream_id)))
    return until if until > known.clock() else 0.0


def _until(until: float, known: RoutingState) -> str:
    return f"Until {_moment(until)}, {max(1, round(until - known.clock()))} s from now."


def _minute(moment: datetime, known: RoutingState) -> str:
    """With its day, unless that is today."""
    is_today = moment.astimezone(UTC).date() == datetime.fromtimestamp(known.clock(), UTC).date()
    return f"{moment.astimezone(UTC):{'' if is_today else '%Y-%m-%d '}%H:%M} UTC"


def _moment(until: float) -> str:
    return f"{datetime.fromtimestamp(until, UTC):%H:%M:%S} UTC"

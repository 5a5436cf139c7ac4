"""The status of upstreams and credentials for lists and pages: a label, its colour, and a sentence."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import NamedTuple

from accounts.common.steady_clock import steady_time_of, wall_time_of
from upstreams.models import Upstream, UpstreamCredential
from upstreams.routing.circuit_breaker import BreakerState
from upstreams.routing.live_state import RoutingState


class Label(enum.StrEnum):
    """The values are shown."""

    HEALTHY = "healthy"
    READY = "ready"
    UNTRIED = "untried"
    OFF = "off"
    COOLING = "cooling"
    PROBING = "probing"
    ALL_OFF = "no credential"
    MISSING = "missing"
    DISABLED = "disabled"
    BREAKER_OPEN = "breaker open"
    UNUSABLE = "no usable credential"
    CHECK_FAILED = "check failed"


LEVELS: dict[str, str] = {
    **dict.fromkeys((Label.HEALTHY, Label.READY), "success"),
    **dict.fromkeys((Label.UNTRIED, Label.OFF), ""),
    **dict.fromkeys((Label.COOLING, Label.PROBING, Label.ALL_OFF), "warning"),
    **dict.fromkeys((Label.MISSING, Label.DISABLED, Label.BREAKER_OPEN, Label.UNUSABLE, Label.CHECK_FAILED), "danger"),
}
"""The colours of the labels, as Unfold names them."""


class Status(NamedTuple):
    """``detail`` is one or more sentences, or empty."""

    label: Label
    detail: str = ""

    @property
    def level(self) -> str:
        """The colour of the label."""
        return LEVELS[self.label]

    @property
    def can_be_enabled(self) -> bool:
        """Whether a credential with this status can be enabled before its cooldown or its refusal ends by itself."""
        return self.label in (Label.DISABLED, Label.COOLING)


def credential_status(row: UpstreamCredential, state: RoutingState) -> Status:
    """The status of a credential, by its row and by what this process has observed."""
    if not row.secret_encrypted:
        return Status(Label.MISSING, row.disabled_reason or "No secret is stored.")
    if not row.is_active:
        return Status(Label.OFF, "Switched off.")
    if row.disabled_reason:
        return Status(Label.DISABLED, row.disabled_reason)
    until = _cools_until(row, state)
    return Status(Label.COOLING, _until(until, state)) if until else Status(Label.READY)


def upstream_status(row: Upstream, credentials: Iterable[UpstreamCredential], state: RoutingState) -> Status:
    """The status of an upstream: by its breaker, its last health check (unless it has answered since), its cooldown, its credentials."""
    if not row.is_active:
        return Status(Label.OFF, "Switched off.")
    upstream_id = str(row.pk)
    breaker = state.breakers.state(upstream_id)
    if breaker is not BreakerState.CLOSED:
        return _breaker_status(breaker, state.breakers.open_until(upstream_id), state)
    checked_at = row.tested_at if row.tested_at and not (row.answered_at and row.answered_at > row.tested_at) else None
    if checked_at and row.test_error:
        return Status(Label.CHECK_FAILED, f"Checked {_minute(checked_at, state)}: {row.test_error}")
    until = state.cooldowns.until("", "", upstream_id)
    if until:
        return Status(Label.COOLING, _until(until, state))
    status = _status_by_credentials(row, [credential_status(credential, state) for credential in credentials])
    if status.label is not Label.HEALTHY or row.answered_at:
        return status
    if checked_at:
        return Status(Label.HEALTHY, f"{status.detail} The health check at {_minute(checked_at, state)} passed.".lstrip())
    return Status(Label.UNTRIED, f"{status.detail} It has not answered a request yet.".lstrip())


def _breaker_status(breaker: BreakerState, until: float, state: RoutingState) -> Status:
    if breaker is BreakerState.HALF_OPEN:
        return Status(Label.PROBING, "The circuit breaker is half open: the next request closes it or opens it again.")
    if until > state.clock():
        return Status(Label.BREAKER_OPEN, f"After consecutive failures, until {_moment(until)}. Then one request is let through.")
    return Status(Label.BREAKER_OPEN, "One request is running; it closes the breaker or opens it again.")


def _status_by_credentials(row: Upstream, statuses: list[Status]) -> Status:
    if not statuses:
        return Status(
            Label.HEALTHY, "The client's own key is passed on." if row.pass_client_credentials else "Called without a credential."
        )
    ready = sum(status.label is Label.READY for status in statuses)
    if ready:
        return Status(Label.HEALTHY, "" if ready == len(statuses) else f"{ready} of {len(statuses)} credentials are ready.")
    cooling = next((status for status in statuses if status.label is Label.COOLING), None)
    if cooling is not None:
        return cooling
    unusable = next((status for status in statuses if status.label in (Label.DISABLED, Label.MISSING)), None)
    if unusable is not None:
        return Status(Label.UNUSABLE, unusable.detail)
    return Status(Label.ALL_OFF, "All credentials are switched off.")


def _cools_until(row: UpstreamCredential, state: RoutingState) -> float:
    """The end of a credential's cooldowns in steady time; 0 if it does not cool."""
    in_database = steady_time_of(row.cooling_until.timestamp()) if row.cooling_until else 0.0
    until = max(in_database, state.cooldowns.credential_until(str(row.pk), str(row.upstream_id)))
    return until if until > state.clock() else 0.0


def _until(until: float, state: RoutingState) -> str:
    return f"Until {_moment(until)}, {max(1, round(until - state.clock()))} s from now."


def _minute(moment: datetime, state: RoutingState) -> str:
    """Hours and minutes, with the date unless it is today's."""
    is_today = moment.astimezone(UTC).date() == datetime.fromtimestamp(state.clock(), UTC).date()
    return f"{moment.astimezone(UTC):{'' if is_today else '%Y-%m-%d '}%H:%M} UTC"


def _moment(until: float) -> str:
    return f"{datetime.fromtimestamp(wall_time_of(until), UTC):%H:%M:%S} UTC"

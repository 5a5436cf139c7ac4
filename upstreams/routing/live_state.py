"""Per-process routing state: cooldowns, circuit breakers, session affinity, latency averages. Replicated through Redis by `redis_sync`.

The state forbids nothing: it only decides which candidates are tried first. Times are Unix seconds, so that processes can
exchange them. Ids are those of :class:`~upstreams.routing.plan.Target`.
"""

from __future__ import annotations

import enum
import time
from collections.abc import Callable

import msgspec

from accounts.common.steady_clock import steady_time
from upstreams.routing.circuit_breaker import Breakers
from upstreams.routing.cooldowns import Clock, Cooldowns
from upstreams.routing.remote_objects import RemoteObject, RemoteObjects
from upstreams.routing.session_affinity import Sessions

LATENCY_WEIGHT = 0.3
"""The share of the newest measurement in the moving average of the time to the first token."""


class ChangeKind(enum.StrEnum):
    """The values are part of the messages and keys in Redis."""

    COOLDOWN_STARTED = "cooling"
    COOLDOWNS_CLEARED = "cleared"
    BREAKER_OPENED = "broken"
    BREAKER_CLOSED = "mended"
    SESSION_PINNED = "session"
    CREDENTIAL_USED = "used"
    OBJECT_MADE = "made"


class StateChange(msgspec.Struct, frozen=True):
    """A change that other processes apply to their state, as it is sent through Redis.

    | kind | ``subject`` | ``until`` | ``value`` |
    |---|---|---|---|
    | ``COOLDOWN_STARTED`` | :func:`~upstreams.routing.cooldowns.subject_of` | end | |
    | ``COOLDOWNS_CLEARED`` | credential id | | upstream id |
    | ``BREAKER_OPENED`` | upstream id | end | |
    | ``BREAKER_CLOSED`` | upstream id | | |
    | ``SESSION_PINNED`` | :func:`~upstreams.routing.plan.session_of` | | credential id |
    | ``CREDENTIAL_USED`` | upstream id | | credential id |
    | ``OBJECT_MADE`` | object id and client key id, with a space between | end | the :class:`RemoteObject` as JSON |
    """

    kind: ChangeKind
    subject: str
    until: float = 0.0
    value: str = ""


Publish = Callable[[StateChange], None]


def _publish_nothing(change: StateChange) -> None:
    """For a process without Redis."""


class RoutingState:
    """Per-process routing state: cooldowns, circuit breakers, session affinity, latency averages. Replicated through Redis by `redis_sync`.

    ``publish`` is called with every change that other processes should apply, in whatever thread the change happens.
    """

    def __init__(self, *, breaker_threshold: int = 5, breaker_seconds: float = 30.0, clock: Clock = steady_time) -> None:
        self.clock = clock
        self.cooldowns = Cooldowns(clock)
        self.breakers = Breakers(threshold=breaker_threshold, open_seconds=breaker_seconds, clock=clock)
        self.sessions = Sessions(clock)
        self.remote_objects = RemoteObjects(time.time if clock is steady_time else clock)
        self.publish: Publish = _publish_nothing
        self._latency: dict[str, float] = {}
        self._last_credentials: dict[str, str] = {}
        self._turns: dict[str, int] = {}

    # --- changes by requests, health checks and admins ------------------------------------------------------------------

    def start_cooldown(self, subject: str, seconds: float) -> float:
        """Start a cooldown of ``seconds``; returns its end."""
        until = self.clock() + seconds
        if self.cooldowns.start(subject, until):
            self.publish(StateChange(ChangeKind.COOLDOWN_STARTED, subject, until))
        return until

    def clear_cooldowns(self, credential_id: str, upstream_id: str) -> None:
        """End the cooldowns of a credential and its upstream, and close the upstream's breaker."""
        self.apply_remote(change := StateChange(ChangeKind.COOLDOWNS_CLEARED, credential_id, value=upstream_id))
        self.publish(change)

    def record_failure(self, upstream_id: str) -> float:
        """Count a failure for the breaker. The time until which the breaker is open if this opens it, else 0."""
        until = self.breakers.record_failure(upstream_id)
        if until:
            self.publish(StateChange(ChangeKind.BREAKER_OPENED, upstream_id, until))
        return until

    def record_success(self, upstream_id: str) -> None:
        """A response is complete: the breaker closes and forgets its failures."""
        if self.breakers.record_success(upstream_id):
            self.publish(StateChange(ChangeKind.BREAKER_CLOSED, upstream_id))

    def record_sent(
        self, *, upstream_id: str, credential_id: str, route_id: str, has_others: bool = True, session: str | None = None
    ) -> None:
        """A request is sent. The next new session gets the credential after this one, if the upstream ``has_others``."""
        self.breakers.begin_probe(upstream_id)
        self.cooldowns.begin_probe(credential_id, route_id, upstream_id)
        if has_others:
            self._last_credentials[upstream_id] = credential_id
            self.publish(StateChange(ChangeKind.CREDENTIAL_USED, upstream_id, value=credential_id))
        if session is not None:
            self.sessions.reserve(session, credential_id)

    def record_first_byte(self, *, upstream_id: str, credential_id: str, route_id: str) -> None:
        """A response has begun: the probes of this candidate have succeeded."""
        self.cooldowns.record_success(credential_id, route_id, upstream_id)
        if self.breakers.record_first_byte(upstream_id):
            self.publish(StateChange(ChangeKind.BREAKER_CLOSED, upstream_id))

    def record_abandoned(self, *, upstream_id: str, credential_id: str, route_id: str) -> None:
        """A request ended without a result: its client left, or another candidate was faster."""
        self.breakers.abandon_probe(upstream_id)
        self.cooldowns.abandon_probe(credential_id, route_id, upstream_id)

    def pin_session(self, credential_id: str, session: str) -> None:
        """A credential has served a request of a session (:func:`upstreams.routing.plan.session_of`)."""
        if self.sessions.pin(session, credential_id):
            self.publish(StateChange(ChangeKind.SESSION_PINNED, session, value=credential_id))

    def add_object(self, remote_object: RemoteObject) -> None:
        """An upstream has made an object, or a request has used one."""
        self.remote_objects.add(remote_object)
        subject, value = f"{remote_object.id} {remote_object.api_key_id}", msgspec.json.encode(remote_object).decode()
        self.publish(StateChange(ChangeKind.OBJECT_MADE, subject, remote_object.until, value))

    def record_first_token(self, route_id: str, seconds: float) -> None:
        """Add a time to the first token to a route's moving average."""
        average = self._latency.get(route_id)
        self._latency[route_id] = seconds if average is None else average + LATENCY_WEIGHT * (seconds - average)

    # --- replication ------------------------------------------------------------------------------------------------------

    def apply_remote(self, change: StateChange) -> None:
        """Apply a change that another process has published; it is not published again."""
        match change.kind:
            case ChangeKind.COOLDOWN_STARTED:
                self.cooldowns.start(change.subject, change.until)
            case ChangeKind.COOLDOWNS_CLEARED:
                self.cooldowns.clear(change.subject, change.value)
                self.breakers.record_success(change.value)
            case ChangeKind.BREAKER_OPENED:
                self.breakers.apply_open(change.subject, change.until)
            case ChangeKind.BREAKER_CLOSED:
                self.breakers.record_success(change.subject)
            case ChangeKind.SESSION_PINNED:
                self.sessions.pin(change.subject, change.value)
            case ChangeKind.CREDENTIAL_USED:
                self._last_credentials[change.subject] = change.value
            case ChangeKind.OBJECT_MADE:
                pass  # other processes read the object from Redis when they need it

    def snapshot(self) -> list[StateChange]:
        """The changes that bring an empty state to this one, without latencies and turns."""
        return [
            *(StateChange(ChangeKind.COOLDOWN_STARTED, subject, until) for subject, until in self.cooldowns.active()),
            *(StateChange(ChangeKind.BREAKER_OPENED, upstream_id, until) for upstream_id, until in self.breakers.open_breakers()),
            *(
                StateChange(ChangeKind.CREDENTIAL_USED, upstream_id, value=credential_id)
                for upstream_id, credential_id in list(self._last_credentials.items())
            ),
            *(StateChange(ChangeKind.SESSION_PINNED, session, value=credential_id) for session, credential_id in self.sessions.active()),
        ]

    # --- questions of the plan --------------------------------------------------------------------------------------------

    def latency(self, route_id: str) -> float:
        """The moving average of a route's time to the first token in seconds; 0 if unmeasured, so that it is tried."""
        return self._latency.get(route_id, 0.0)

    def last_credential(self, upstream_id: str) -> str:
        """The credential with which the last request was sent to an upstream; empty if none was."""
        return self._last_credentials.get(upstream_id, "")

    def next_turn(self, model_id: str) -> int:
        """0, 1, 2 … for consecutive requests of a model (round robin)."""
        turn = self._turns.get(model_id, -1) + 1
        self._turns[model_id] = turn
        return turn


_state = RoutingState()


def current() -> RoutingState:
    """The routing state of this process."""
    return _state


def set_current(state: RoutingState) -> RoutingState:
    """Replace the routing state of this process, when the settings are known."""
    global _state  # noqa: PLW0603  (one for each process, set where the process is wired)
    _state = state
    return state

"""The loop over the targets of a plan: which one is tried next, and how each result changes the routing state.

Every target is tried once, without a pause. It is tried a second time at once, on a new connection, if the connection failed
before the first byte of a response; an upstream that breaks connections gets a request at most twice. When no other target is
left, those whose upstream allows retries (``max_retries``) are tried again after 429, 503 and connections that could not be
opened; retry ``n`` waits ``retry_base_delay * 2^(n-1)`` seconds, ± 50 % at random.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

import msgspec

from accounts.common.steady_clock import wall_time_of
from proxy.exchange.tool_call_enforcement import ToolCallRejected
from proxy.exchange.upstream_call import Attempt
from proxy.translation.errors import ClientMistake, Failure, GatewayError, UpstreamFailed
from upstreams.routing import credential_state
from upstreams.routing.cooldowns import CooldownScope, subject_of
from upstreams.routing.decision import Skip, SkipReason, decision_rows
from upstreams.routing.failure_policy import FailureAction, failure_action, retry_after_seconds
from upstreams.routing.live_state import RoutingState
from upstreams.routing.plan import Plan, Target, session_of, skip_of

AnyAttempt = TypeVar("AnyAttempt", bound=Attempt)
T = TypeVar("T")

logger = logging.getLogger("pxbin.routing")

TRANSIENT = frozenset({"rate_limit", "overloaded"})
"""Kinds of failures that pass with time: a client that retries later may succeed."""
ACCOUNT = frozenset({"billing", "quota"})
"""Kinds of failures of the operator's account at a provider."""
NO_BALANCE = "The upstreams of this model have no balance or quota left"


class Failover:
    """The attempts of one request. ``tried``: those that were started, in order; the one that answers is the last."""

    def __init__(self, plan: Plan, state: RoutingState, *, request_id: str, session: str | None = None) -> None:
        """``session``: the session of the request, if it has one."""
        self.tried: list[Attempt] = []
        self.skips = plan.skips
        self._choice = plan.choice
        self._state = state
        self._request_id = request_id
        self._session = session
        self._waiting = list(plan.targets)
        self._again: list[Target] = []
        self._retries = 0
        self._reconnected: set[int] = set()
        self._mistake: ClientMistake | None = None
        self._error: UpstreamFailed | None = None

    @property
    def targets(self) -> list[Target]:
        """The targets that have not been tried yet."""
        return list(self._waiting)

    @property
    def decision(self) -> list[dict[str, str]]:
        """Why the first target is the first, if there was a choice, and the skips; each with its reason."""
        return decision_rows(self._choice, self.skips)

    async def one_by_one(self, new: Callable[[Target], AnyAttempt], begin: Callable[[AnyAttempt], Awaitable[T]]) -> tuple[AnyAttempt, T]:
        """The first attempt whose ``begin`` succeeds, and its result; one attempt at a time.

        When none does, raises the error of :meth:`record_failure` or of :meth:`exhausted`.
        """
        while (target := await self.next()) is not None:
            attempt = self.start(new(target))
            try:
                return attempt, await begin(attempt)
            except UpstreamFailed as error:
                self.record_failure(attempt, error)
            except ClientMistake as mistake:
                self.skip_incompatible(attempt, mistake)
        raise self.exhausted()

    async def next(self) -> Target | None:
        """The target to try next, after the delay of a retry; ``None`` if no target is left."""
        if not self._waiting:
            await self._begin_retry()
        if not self._waiting:
            return None
        target = self._waiting.pop(0)
        if target.credential is not None:
            credential_state.credentials_used.note(target.credential.id)
        self._state.record_sent(
            **_subject(target),
            has_others=len(target.upstream.credentials) > 1,
            session=None if self._session is None else session_of(self._session, target.model),
        )
        return target

    async def _begin_retry(self) -> None:
        """After all targets have failed: wait, and put those that may be tried again into the queue."""
        self._retries += 1
        again, self._again = [target for target in self._again if target.upstream.max_retries >= self._retries], []
        if not again:
            return
        base = min(target.upstream.retry_base_delay for target in again)
        delay = base * 2 ** (self._retries - 1) * random.uniform(0.5, 1.5)  # noqa: S311  (jitter, not a secret)
        logger.info("retry %d of request %s in %.3f s at %d upstream(s)", self._retries, self._request_id, delay, len(again))
        await asyncio.sleep(delay)
        self._waiting = again

    def start(self, attempt: AnyAttempt) -> AnyAttempt:
        """Add an attempt that is about to begin."""
        self.tried.append(attempt)
        return attempt

    def skip_incompatible(self, attempt: Attempt, mistake: ClientMistake) -> None:
        """The request cannot be encoded for a target; nothing was sent, and another target may accept it."""
        self.tried.remove(attempt)
        target = attempt.target
        self.skips.append(
            Skip(reason=SkipReason.NOT_ENCODABLE, text=mistake.failure.message, model=target.remote_name, upstream=target.upstream.name)
        )
        self._mistake = self._mistake or mistake

    def record_failure(self, attempt: Attempt, error: UpstreamFailed) -> None:
        """An attempt failed: update the routing state, and raise ``error`` if no other target can help."""
        error.failure = attempt.call.redact_failure(error.failure)
        target, action = attempt.target, failure_action(error.failure)
        attempt.call.fail(error.failure)
        if self._error is None or _is_shown_before(error.failure, self._error.failure):
            self._error = error
        has_other_body = isinstance(error, ToolCallRejected) or attempt.can_retry_with_repaired_history(error.failure)
        if has_other_body:  # the upstream works; the same target is tried again
            self._state.record_success(target.upstream.id)
            if not error.retryable:
                raise error
            self._waiting.insert(0, target)
            return
        self._update_state(attempt, action, error.failure)
        if not (action.failover and error.retryable):
            raise error
        if action.skip_credentials or (error.failure.status == 404 and target.takes_any_name):
            self._leave_out_same(target, "another key would get the same response")
        unanswered = not error.answered and error.failure.kind in ("connect", "network")
        if unanswered and not error.reconnected and id(target) not in self._reconnected:
            self._reconnected.add(id(target))
            self._waiting.insert(0, target)
        elif unanswered and attempt.call.is_sent:  # sent twice and perhaps worked on: a third time only elsewhere
            self._leave_out_same(target, "the upstream breaks connections")
        elif action.retry_same or unanswered:
            self._again.append(target)

    def _leave_out_same(self, target: Target, text: str) -> None:
        """Try no other credential of an upstream for the same remote name."""
        for other in [*self._waiting]:
            if (other.upstream.id, other.remote_name) == (target.upstream.id, target.remote_name):
                self._waiting.remove(other)
                self.skips.append(skip_of(other, SkipReason.SAME_RESPONSE, text))

    def record_timeout(self, failure: Failure) -> None:
        """The deadline of the request has passed: the running attempts have failed."""
        for attempt in self.tried:
            if attempt.call.outcome is None:
                attempt.call.fail(failure)
                self._update_state(attempt, failure_action(failure), failure)

    def _update_state(self, attempt: Attempt, action: FailureAction, failure: Failure) -> None:
        state, target = self._state, attempt.target
        if action.failover and failure.about != "request":
            state.record_abandoned(**_subject(target))  # a half-open breaker waits for another probe
        else:
            state.record_first_byte(**_subject(target))  # an upstream that refuses the request works
        if action.trips_breaker:
            until = state.record_failure(target.upstream.id)
            if until:
                credential_state.store_upstream_cooldown(target.upstream.id, until)
        seconds = target.upstream.cooldown if target.model.cooldown_seconds is None else target.model.cooldown_seconds
        concerns_credential = action.disable_credential or action.cooldown_scope is CooldownScope.CREDENTIAL
        if concerns_credential and target.upstream.pass_client_credentials:
            return  # the client's own credential or account was refused, not one of pxbin
        if action.disable_credential and target.credential is not None:
            if not credential_state.disable(
                target.upstream, target.credential, f"the upstream answered {failure.status}: {failure.message}"[:500]
            ):
                self._cool(CooldownScope.CREDENTIAL, attempt, seconds)
        elif action.cooldown_scope is not None:
            self._cool(action.cooldown_scope, attempt, seconds)

    def _cool(self, scope: CooldownScope, attempt: Attempt, seconds: float) -> None:
        """Start a cooldown of ``seconds``, or as long as the provider says. 0 switches cooldowns off."""
        if seconds <= 0:
            return
        target = attempt.target
        call = attempt.call
        requested = (
            retry_after_seconds(call.received, wall_time_of(self._state.clock())) if call.failure and call.failure.status >= 400 else None
        )
        subject = subject_of(scope, **_subject(target))
        until = self._state.start_cooldown(subject, seconds if requested is None else requested)
        if scope is CooldownScope.UPSTREAM or target.credential is None:
            credential_state.store_upstream_cooldown(target.upstream.id, until)
        if target.credential is not None and not (target.takes_any_name and scope is CooldownScope.ROUTE):
            # A cooldown of one name that a client chose says nothing of the credential.
            credential_state.store_credential_cooldown(
                target.credential.id, self._state.cooldowns.credential_until(target.credential.id, target.upstream.id)
            )

    def record_first_byte(self, attempt: Attempt) -> None:
        """A response has begun: the target's cooldowns end, and the session stays at its credential."""
        if attempt.call.failure is not None:
            return  # the stream broke off in the same read
        target = attempt.target
        self._state.record_first_byte(**_subject(target))
        if self._session is not None:
            self._state.pin_session(target.credential_id, session_of(self._session, target.model))

    def choose_winner(self, attempt: Attempt) -> None:
        """The client gets the response of this attempt: it becomes the last of ``tried``, and running ones are abandoned."""
        if len(self.tried) == 1:
            return
        for other in self.tried:
            if other is not attempt and other.call.outcome is None:
                self.record_abandoned(other)
        self.tried.remove(attempt)
        self.tried.append(attempt)

    def record_abandoned(self, attempt: Attempt) -> None:
        """An attempt was cancelled, which says nothing about its target: the client has left, or another attempt was faster."""
        if attempt.call.outcome is None:
            self._state.record_abandoned(**_subject(attempt.target))
        attempt.cancel()

    def record_success(self, attempt: Attempt) -> None:
        """The response of an attempt is complete."""
        target, state = attempt.target, self._state
        self.record_first_byte(attempt)
        state.record_success(target.upstream.id)
        credential_state.upstreams_answered.note(target.upstream.id)
        if attempt.call.first_token_ns is not None:
            state.record_first_token(target.route.id, (attempt.call.first_token_ns - attempt.call.started_ns) / 1e9)

    def record_broken_stream(self, attempt: Attempt) -> None:
        """A stream failed after its first event: no other target is tried, but the routing state is updated."""
        assert attempt.call.failure is not None
        self._update_state(attempt, failure_action(attempt.call.failure), attempt.call.failure)

    def _without_billing_text(self, error: UpstreamFailed) -> UpstreamFailed:
        """The text about the operator's account is for the log where the client was promised a fallback."""
        if error.failure.kind in ACCOUNT and len({attempt.target.upstream.id for attempt in self.tried}) > 1:
            error.failure = msgspec.structs.replace(error.failure, message=NO_BALANCE, details=None)
        return error

    def exhausted(self) -> GatewayError:
        """The error when no target is left: an upstream's failure, else the reason why no target was tried.

        Of several failures the last one, but a transient one before others.
        """
        if self._error is not None:
            return self._without_billing_text(self._error)
        if self._mistake is not None:
            return self._mistake
        skips = [skip for skip in self.skips if skip.reason is not SkipReason.ANOTHER_UPSTREAM_CHOSEN]
        if skips and all(skip.reason is SkipReason.CAPABILITY_MISSING for skip in skips):
            reasons = sorted({skip.text for skip in skips})
            return ClientMistake(f"No upstream of this model can serve the request: {'; '.join(reasons)}")
        return GatewayError(Failure(kind="overloaded", message="No upstream is available for this model"))


def _is_shown_before(failure: Failure, other: Failure) -> bool:
    """Whether the client is told of ``failure``, which came later: transient failures first, those of the account last."""
    if (failure.kind in ACCOUNT) != (other.kind in ACCOUNT):
        return other.kind in ACCOUNT
    return failure.kind in TRANSIENT or other.kind not in TRANSIENT


def _subject(target: Target) -> dict[str, str]:
    """The ids of a target, as the routing state takes them."""
    return {"upstream_id": target.upstream.id, "credential_id": target.credential_id, "route_id": target.cooldown_route}

"""Which target is tried next, and what each failure teaches.

Every candidate once, the next one at once; the same one again only on a fresh connection, when the first attempt got no
byte of an answer. When no other candidate is left, those whose upstream wants retries (``max_retries``) are tried again
after 429, 503 and connection failures, with a delay: base times 2^(n-1), give or take half.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from proxy.exchange.attempt_base import Attempt
from proxy.exchange.tool_call_enforcement import ToolCallRejected
from proxy.translation.errors import ClientMistake, Failure, GatewayError, UpstreamFailed
from upstreams.http import auth_headers
from upstreams.routing import credential_state
from upstreams.routing.failure_policy import FailureAction, Scope, failure_action, retry_after_seconds
from upstreams.routing.live_state import RoutingState
from upstreams.routing.plan import ANOTHER_CHOSEN, Plan, Target, session_of

AnyTry = TypeVar("AnyTry", bound=Attempt)
T = TypeVar("T")

logger = logging.getLogger("pxbin.routing")

PASSING = frozenset({"rate_limit", "overloaded"})
"""Kinds of failure that a client does well to wait for."""


class Failover:
    """The tries of one request. ``tried`` holds those that were sent, in order; the one that answers is the last."""

    def __init__(self, plan: Plan, standing: RoutingState, *, request_id: str, session: str | None = None) -> None:
        """``session``: which turns belong together, where that is known."""
        self.tried: list[Attempt] = []
        self.skips = plan.skips
        self._chosen = plan.chosen
        self._standing = standing
        self._request_id = request_id
        self._session = session
        self._waiting = list(plan.targets)
        self._again: list[Target] = []
        self._rounds = 0
        self._reconnected: set[int] = set()
        self._mistake: ClientMistake | None = None
        self._error: UpstreamFailed | None = None

    @property
    def targets(self) -> list[Target]:
        """Those that have not been tried yet."""
        return list(self._waiting)

    @property
    def decision(self) -> list[dict[str, Any]]:
        """What was chosen first, where there was a choice, and what was put back or left out, each with the reason."""
        return self.skips if self._chosen is None else [self._chosen, *self.skips]

    async def one_by_one(self, new: Callable[[Target], AnyTry], begin: Callable[[AnyTry], Awaitable[T]]) -> tuple[AnyTry, T]:
        """The first try that succeeds, and its result; raises what :meth:`failed` and :meth:`exhausted` say when none does."""
        while (target := await self.next()) is not None:
            attempt = self.sent(new(target))
            try:
                return attempt, await begin(attempt)
            except UpstreamFailed as error:
                self.failed(attempt, error)
            except ClientMistake as mistake:
                self.skip_incompatible(attempt, mistake)
        raise self.exhausted()

    async def next(self) -> Target | None:
        """The target to try now, after a pause where one is due; ``None`` when there is nothing left to try."""
        if not self._waiting:
            await self._begin_round()
        if not self._waiting:
            return None
        target = self._waiting.pop(0)
        if target.credential is not None:
            auth_headers.used.note(target.credential.id)
        self._standing.sent(
            **_subject(target),
            has_others=len(target.upstream.credentials) > 1,
            session=None if self._session is None else session_of(self._session, target.model),
        )
        return target

    async def _begin_round(self) -> None:
        """Once all candidates have failed: those that may be tried again, after the shortest of their delays."""
        self._rounds += 1
        again, self._again = [target for target in self._again if target.upstream.max_retries >= self._rounds], []
        if not again:
            return
        base = min(target.upstream.retry_base_delay for target in again)
        delay = base * 2 ** (self._rounds - 1) * random.uniform(0.5, 1.5)  # noqa: S311  (jitter, not a secret)
        logger.info("retry %d of request %s in %.3f s at %d upstream(s)", self._rounds, self._request_id, delay, len(again))
        await asyncio.sleep(delay)
        self._waiting = again

    def sent(self, attempt: AnyTry) -> AnyTry:
        """An attempt begins."""
        self.tried.append(attempt)
        return attempt

    def skip_incompatible(self, attempt: Attempt, mistake: ClientMistake) -> None:
        """A target cannot carry the request; nothing was sent. Another one may."""
        self.tried.remove(attempt)
        target = attempt.target
        self.skips.append({"upstream": target.upstream.name, "model": target.remote_name, "skipped": mistake.failure.message})
        self._mistake = self._mistake or mistake

    def failed(self, attempt: Attempt, error: UpstreamFailed) -> None:
        """Learn from a failure. Raises it when no other target can help."""
        error.failure = attempt.redact_failure(error.failure)
        target, found = attempt.target, failure_action(error.failure)
        attempt.fail(error.failure)
        if self._error is None or error.failure.kind in PASSING or self._error.failure.kind not in PASSING:
            self._error = error
        if isinstance(error, ToolCallRejected) or attempt.can_retry_with_repaired_history(
            error.failure
        ):  # no fault of the upstream's; the same one is asked again
            self._standing.upstream_answered(target.upstream.id)
            if not error.retryable:
                raise error
            self._waiting.insert(0, target)
            return
        self._learn(attempt, found, error.failure)
        if not (found.failover and error.retryable):
            raise error
        unanswered = not error.answered and error.failure.kind in ("connect", "network")
        if unanswered and not error.reconnected and id(target) not in self._reconnected:
            self._reconnected.add(id(target))
            self._waiting.insert(0, target)
        elif found.retry_same or unanswered:
            self._again.append(target)

    def timed_out(self, failure: Failure) -> None:
        """The time for the whole request is over: those that still run have failed."""
        for attempt in self.tried:
            if attempt.outcome is None:
                attempt.fail(failure)
                self._learn(attempt, failure_action(failure), failure)

    def _learn(self, attempt: Attempt, found: FailureAction, failure: Failure) -> None:
        standing, target = self._standing, attempt.target
        if found.failover:
            standing.left(**_subject(target))  # it was no proof that it works; what is worse follows
        else:
            standing.began(**_subject(target))  # who finds a mistake in the request works
        if found.trips_breaker:
            until = standing.upstream_failed(target.upstream.id)
            if until:
                credential_state.note_resting(target.upstream.id, until)
        seconds = target.upstream.cooldown if target.model.cooldown_seconds is None else target.model.cooldown_seconds
        if found.disable_credential and target.upstream.pass_client_credentials:
            return  # the client's own credential was refused, not ours
        if found.disable_credential and target.credential is not None:
            if not credential_state.disable(
                target.upstream, target.credential, f"the upstream answered {failure.status}: {failure.message}"[:500]
            ):
                self._cool("key", attempt, seconds)
        elif found.cooldown_scope is not None:
            self._cool(found.cooldown_scope, attempt, seconds)

    def _cool(self, scope: Scope, attempt: Attempt, seconds: float) -> None:
        """Let a key, a key's route or an upstream rest: as long as the provider says, else as configured; 0 switches it off."""
        if seconds <= 0:
            return
        target = attempt.target
        asked = retry_after_seconds(attempt.received, self._standing.clock()) if attempt.failure and attempt.failure.status >= 400 else None
        subject = {
            "route": f"key:{target.key_id}@{target.route.id}",
            "key": f"key:{target.key_id}",
            "upstream": f"upstream:{target.upstream.id}",
        }[scope]
        until = self._standing.cool(subject, seconds if asked is None else asked)
        if scope == "upstream" or target.credential is None:
            credential_state.note_resting(target.upstream.id, until)
        if target.credential is not None:
            credential_state.note_cooling(
                target.credential.id, self._standing.cooldowns.key_until(target.credential.id, target.upstream.id)
            )

    def began(self, attempt: Attempt) -> None:
        """A target's answer has begun: what had rested of it works again, and its session stays there."""
        if attempt.failure is not None:
            return  # it has broken off in the same moment
        target = attempt.target
        self._standing.began(**_subject(target))
        if self._session is not None:
            self._standing.served(target.key_id, session_of(self._session, target.model))

    def won(self, attempt: Attempt) -> None:
        """The answer is this one's: it counts as the last try, and those that still run have lost."""
        if len(self.tried) == 1:
            return
        for other in self.tried:
            if other is not attempt and other.outcome is None:
                self.left(other)
        self.tried.remove(attempt)
        self.tried.append(attempt)

    def left(self, attempt: Attempt) -> None:
        """An attempt was given up without a word on its target: its client has left, or another candidate was faster."""
        if attempt.outcome is None:
            self._standing.left(**_subject(attempt.target))
        attempt.cancel()

    def succeeded(self, attempt: Attempt) -> None:
        """A target has answered to the end."""
        target, standing = attempt.target, self._standing
        self.began(attempt)
        standing.upstream_answered(target.upstream.id)
        auth_headers.answered.note(target.upstream.id)
        if attempt.first_token_ns is not None:
            standing.first_token(target.route.id, (attempt.first_token_ns - attempt.started_ns) / 1e9)

    def broke_off(self, attempt: Attempt) -> None:
        """A stream failed after its first event: too late for another target, but not to learn from it."""
        assert attempt.failure is not None
        self._learn(attempt, failure_action(attempt.failure), attempt.failure)

    def exhausted(self) -> GatewayError:
        """What the client is told when nothing is left: an upstream's failure, else why no upstream could be asked.

        Of several failures the last one counts, but one that says when to come back before one that says nothing.
        """
        if self._error is not None:
            return self._error
        if self._mistake is not None:
            return self._mistake
        reasons = sorted({str(skip["skipped"]) for skip in self.skips} - {ANOTHER_CHOSEN})
        if reasons and all(reason.startswith("takes no ") for reason in reasons):
            return ClientMistake(f"No upstream of this model can serve the request: {'; '.join(reasons)}")
        return GatewayError(Failure(kind="overloaded", message="No upstream is available for this model"))


def _subject(target: Target) -> dict[str, str]:
    """Whom standing is to remember something of."""
    return {"upstream": target.upstream.id, "key": target.key_id, "route": target.route.id}

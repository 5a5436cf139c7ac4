"""Which targets may answer an admitted request, in which order, and the first of them that succeeds."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Literal, Protocol, TypeVar

import msgspec

from accounts.common.gateway_config import config
from billing.pricing import price_book
from billing.request_log.entry import Meter
from proxy.exchange import admission, remote_objects, requirements, tool_call_enforcement
from proxy.exchange.admission import Admitted, OpenedRequest
from proxy.exchange.failover import Failover
from proxy.exchange.hedging import race
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.exchange.record import Record
from proxy.exchange.request_context import RequestContext
from proxy.exchange.upstream_call import Attempt
from proxy.translation.errors import Failure, GatewayError, UpstreamFailed
from upstreams.catalog import snapshot
from upstreams.catalog.snapshot import ResolvedModel
from upstreams.routing import live_state
from upstreams.routing import plan as routing
from upstreams.routing.plan import Requirements, Target
from upstreams.routing.remote_objects import Holder

AnyAttempt = TypeVar("AnyAttempt", bound=Attempt)
T = TypeVar("T")


BillingBasis = Literal["generation", "input", "nothing", "unknown"]
"""What a request is billed by: its input and output, its input alone, not at all, or by what pxbin cannot estimate."""


class RestoredBody(OpenedRequest, Protocol):
    """A request whose body is complete: what it refers to was looked up."""

    @property
    def billing(self) -> BillingBasis:
        """What the request is billed by."""
        ...

    def requirements(self, context: RequestContext, model: ResolvedModel, meter: Meter) -> Requirements:
        """What the request demands of a target."""
        ...


class Planned(msgspec.Struct, frozen=True):
    """A request that is ready for its attempts.

    ``deadline``: when a whole response or the first content must be there, in seconds of the event loop's clock.
    ``hedge_after``: seconds after which a second target is tried beside the first. ``is_traced``: the client asked for the
    routing decision. ``chosen_upstream``: the upstream that the client chose; empty if it chose none. ``refusal``: why no target has
    the remote object that the request names.
    """

    context: RequestContext
    failover: Failover
    deadline: float | None = None
    hedge_after: float | None = None
    is_traced: bool = False
    chosen_upstream: str = ""
    refusal: GatewayError | None = None

    def require_reachable(self) -> None:
        """Raise :class:`GatewayError` if no route leads to the upstream that the client chose, or that has what the request names."""
        if self.refusal is not None:
            raise self.refusal
        if self.chosen_upstream:
            requirements.check_reachable(self.chosen_upstream, self.failover.targets, self.failover.skips, self.context.envelope.model)


async def plan(record: Record, admitted: Admitted, body: RestoredBody) -> Planned:
    """Choose the targets; raises :class:`~proxy.translation.errors.GatewayError` for bad headers, parameters and references."""
    http, meter, key, resolved = record.http, record.meter, admitted.key, admitted.model
    pin = await remote_objects.find_pin(body.dialect, body.envelope, key)
    context = RequestContext(
        http,
        body.dialect,
        body.envelope if pin is None else pin.envelope,
        identity=meter.id_seed,
        created=meter.created,
        seal_key=config().seal_key,
        enforcement=tool_call_enforcement.enforcement_for(http, body.envelope, resolved.model),
    )
    context.capture = record.capture
    required = await in_thread_if_large(context.size, body.requirements, context, resolved, meter)
    is_traced = requirements.is_trace_requested(http, key)
    if upstream := requirements.chosen_upstream(http, key):
        required = msgspec.structs.replace(required, upstream=upstream)
    model, state = resolved.model, live_state.current()
    deadline = asyncio.get_running_loop().time() + model.timeout_seconds if model.timeout_seconds else None

    def candidates_for(holder: Holder | None) -> routing.Plan:
        return routing.plan(
            resolved,
            snapshot.current(),
            requirements=required if holder is None else msgspec.structs.replace(required, holder=holder),
            state=state,
            is_allowed=lambda fallback: admission.may_use_model(key, fallback),
            price_of=price_book.combined_rate,
        )

    refusal = None
    if pin is None:
        candidates = candidates_for(None)
    else:
        candidates = candidates_for(pin.holder)
        if not candidates.targets and remote_objects.can_exist_at(body.dialect, candidates):
            refusal = remote_objects.unreachable(pin, candidates)
        elif not candidates.targets:
            candidates = candidates_for(None)
    failover = Failover(candidates, state, request_id=http.request_id, session=required.session)
    hedge_after = None if model.hedge_after_ms is None else model.hedge_after_ms / 1000
    return Planned(context, failover, deadline, hedge_after, is_traced, upstream, refusal)


async def first_success(
    planned: Planned, new: Callable[[Target], AnyAttempt], begin: Callable[[AnyAttempt], Coroutine[Any, Any, T]], *, hedged: bool = True
) -> tuple[AnyAttempt, T]:
    """The first attempt whose ``begin`` succeeds before the deadline, and its result.

    One attempt at a time; two where the model is hedged and ``hedged`` is set. Raises
    :class:`~proxy.translation.errors.GatewayError` when no target succeeds.
    """
    async with _Deadline(planned):
        if planned.hedge_after is None or not hedged:
            return await planned.failover.one_by_one(new, begin)
        return await race(planned.failover, new, begin, stagger=planned.hedge_after)


class _Deadline:
    """The model's time limit as an async context; without a limit it costs nothing.

    At the deadline the running attempts fail, and :class:`UpstreamFailed` of kind ``timeout`` is raised.
    """

    def __init__(self, planned: Planned) -> None:
        self._timeout = None if planned.deadline is None else asyncio.timeout_at(planned.deadline)
        self._failover = planned.failover

    async def __aenter__(self) -> None:
        if self._timeout is not None:
            await self._timeout.__aenter__()

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._timeout is None:
            return
        try:
            await self._timeout.__aexit__(kind, error, trace)
        except TimeoutError:
            failure = Failure(kind="timeout", message="No answer within the model's time limit")
            self._failover.record_timeout(failure)
            raise UpstreamFailed(failure, retryable=False) from None

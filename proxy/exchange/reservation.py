"""Takes a lease of the limits and budgets of a request's key. Called only for keys that have some."""

from __future__ import annotations

import msgspec

from accounts.keys import Key, budgets_of
from accounts.limits import limiter
from accounts.limits.limiter import Lease, RateLimited
from proxy.exchange import limit_headers
from proxy.exchange.expected_cost import expected_cost, input_tokens
from proxy.exchange.large_bodies import in_thread_if_large
from proxy.exchange.planning import BillingBasis, Planned
from proxy.exchange.record import Record


async def reserve(record: Record, key: Key, planned: Planned, billing: BillingBasis) -> None:
    """Reserve a request, its estimated input tokens, a place among the running requests, and its expected cost, or nothing.

    Raises :class:`~proxy.translation.errors.GatewayError`.
    """
    context, targets = planned.context, planned.failover.targets
    budgets = budgets_of(key)
    tokens = 0
    if (budgets or key.token_limit is not None) and billing in ("generation", "input"):
        tokens = await in_thread_if_large(context.size, input_tokens, context)
    cost: int | None = 0
    if budgets and billing == "unknown":
        free = expected_cost(context, targets, 1, generates=True)
        cost = 0 if free == 0 else None
    elif budgets and billing != "nothing":
        cost = expected_cost(context, targets, tokens, generates=billing == "generation")
        if cost and planned.hedge_after is not None:
            cost *= 2  # two upstreams may answer
    record.note_lease(await _acquire(record, key, tokens=tokens, cost=cost))


async def hold_request(record: Record, key: Key) -> None:
    """Reserve a request that has neither tokens nor a cost, until it ends."""
    record.note_lease(await _acquire(record, key))


async def count_request(record: Record, key: Key) -> None:
    """Count a request that has neither tokens nor a cost, and that holds no place."""
    lease = await _acquire(record, key)
    lease.release()
    record.note_lease(lease)


async def _acquire(record: Record, key: Key, *, tokens: int = 0, cost: int | None = 0) -> Lease:
    try:
        return await limiter.current().acquire(key, record.meter.id, tokens=tokens, cost=cost)
    except RateLimited as refusal:
        own = limit_headers.of_key(record.dialect.client.limit_headers, refusal.key, refusal.levels)
        failure = refusal.failure
        refusal.failure = msgspec.structs.replace(failure, headers=failure.headers | dict(own))
        raise

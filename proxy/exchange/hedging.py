"""Hedging: a second attempt starts when the first one is slow, and the faster one answers.

The slower attempt is cancelled, which closes its connection. The usage that it has reported by then is billed and logged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from proxy.exchange.failover import Failover
from proxy.exchange.upstream_call import Attempt
from proxy.translation.errors import ClientMistake, UpstreamFailed
from upstreams.routing.plan import Target

AnyAttempt = TypeVar("AnyAttempt", bound=Attempt)
T = TypeVar("T")

MAX_RUNNING = 2


async def race(
    failover: Failover,
    new: Callable[[Target], AnyAttempt],
    begin: Callable[[AnyAttempt], Coroutine[Any, Any, T]],
    *,
    stagger: float,
) -> tuple[AnyAttempt, T]:
    """The first attempt that succeeds, and its result. ``stagger``: seconds after which the second attempt starts.

    Raises the errors of :meth:`Failover.one_by_one` when none does.
    """
    running: dict[asyncio.Task[T], AnyAttempt] = {}
    try:
        while True:
            if not running or (failover.targets and len(running) < MAX_RUNNING):
                attempt = failover.start(new(await _next(failover)))
                running[asyncio.ensure_future(begin(attempt))] = attempt
            may_start_another = bool(failover.targets) and len(running) < MAX_RUNNING
            done, _ = await asyncio.wait(running, timeout=stagger if may_start_another else None, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                attempt = running.pop(task)
                try:
                    return attempt, task.result()
                except UpstreamFailed as error:
                    failover.record_failure(attempt, error)
                except ClientMistake as mistake:
                    failover.skip_incompatible(attempt, mistake)
    except asyncio.CancelledError:
        await _cancel(running)
        running.clear()  # the scope of the request records them as cancelled or failed
        raise
    finally:
        await _cancel(running)
        for loser in running.values():
            failover.record_abandoned(loser)


async def _next(failover: Failover) -> Target:
    target = await failover.next()
    if target is None:
        raise failover.exhausted()
    return target


async def _cancel(running: dict[asyncio.Task[T], AnyAttempt]) -> None:
    """Cancel the other attempts, and close the streams that they have opened."""
    for task in running:
        task.cancel()
    for result in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(result, tuple):  # it began its stream in the same event loop iteration as the winner
            await result[1].aclose()

"""Two candidates at once: the second begins when the first is slow, and the faster one answers.

The loser is cancelled, which closes its connection; what it had told of its usage by then is billed and logged like any
other attempt.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from proxy.exchange.attempt import TranslatedAttempt
from proxy.exchange.failover import Failover
from proxy.translation.errors import ClientMistake, UpstreamFailed
from upstreams.routing.plan import Target

T = TypeVar("T")

AT_ONCE = 2


async def race(
    attempts: Failover,
    new: Callable[[Target], TranslatedAttempt],
    begin: Callable[[TranslatedAttempt], Coroutine[Any, Any, T]],
    *,
    stagger: float,
) -> tuple[TranslatedAttempt, T]:
    """The first attempt that succeeds, and its result. ``stagger``: seconds that one may be alone.

    Raises what :meth:`Attempts.failed` and :meth:`Attempts.exhausted` say when none does.
    """
    running: dict[asyncio.Task[T], TranslatedAttempt] = {}
    try:
        while True:
            if not running or (attempts.targets and len(running) < AT_ONCE):
                attempt = attempts.sent(new(await _next(attempts)))
                running[asyncio.ensure_future(begin(attempt))] = attempt
            more = bool(attempts.targets) and len(running) < AT_ONCE
            done, _ = await asyncio.wait(running, timeout=stagger if more else None, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                attempt = running.pop(task)
                try:
                    return attempt, task.result()
                except UpstreamFailed as error:
                    attempts.failed(attempt, error)
                except ClientMistake as mistake:
                    attempts.skip_incompatible(attempt, mistake)
    except asyncio.CancelledError:
        await _leave(running)
        running.clear()  # whoever has ended the race says how they ended
        raise
    finally:
        await _leave(running)
        for loser in running.values():
            attempts.left(loser)


async def _next(attempts: Failover) -> Target:
    target = await attempts.next()
    if target is None:
        raise attempts.exhausted()
    return target


async def _leave(running: dict[asyncio.Task[T], TranslatedAttempt]) -> None:
    """End the attempts that have lost, and close what they have opened."""
    for task in running:
        task.cancel()
    for late in await asyncio.gather(*running, return_exceptions=True):
        if isinstance(late, tuple):  # it began its stream in the same moment as the winner
            await late[1].aclose()

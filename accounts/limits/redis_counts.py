"""The counts of limits and budgets that several processes share through Redis (``PXBIN_REDIS_URL``).

Each process ("holder") has fields of its own for what its running requests hold, which count as long as it says every half second that
it lives: what a killed process held is free after :data:`~accounts.limits.redis_link` five seconds. When Redis has lost everything, the
processes say again what they hold, and what was spent is rebuilt from the ledger: the database, what each machine has not yet written
there, and what is settled meanwhile. While Redis does not answer, rates and concurrency go on in each process by its share of the
limits, soft budgets admit, and hard budgets admit nothing.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import msgspec
import redis
from django.db import DatabaseError, InterfaceError

from accounts.keys import Key
from accounts.limits import ledger
from accounts.limits.claims import Claim, CountsUnavailable, Levels, OverBudget, OverLimit, UnknownSpend
from accounts.limits.memory_counts import MemoryCounts, repeat, reserved_tokens
from accounts.limits.redis_link import RESPONSE_SECONDS, Disconnected, RedisLink, Reply
from accounts.limits.windows import BudgetWindow, Settled

logger = logging.getLogger("pxbin.limits")

BEAT_SECONDS = 0.5
POLL_SECONDS = 0.05
WAIT_SECONDS = 5.0
"""How long a claim waits for Redis, and a rebuild for the reports of all processes."""
MICRO = 1_000_000
_line = msgspec.json.Encoder().encode
_read_line = msgspec.json.Decoder(Settled).decode


class RedisCounts:
    """The shared counts as one process uses them. ``processes``: the least number of web processes that share the limits."""

    def __init__(self, url: str, *, processes: int = 1) -> None:
        self._url = url
        self.link = RedisLink(url, self._held, _forget_lease)
        self.running: dict[str, int] = {}
        """The running requests of this process by key."""
        self._reserved: dict[str, tuple[int, BudgetWindow]] = {}
        self._alone = MemoryCounts()
        self._alone_ids: dict[str, Claim] = {}
        self._processes = processes
        self._round = ""
        self._recent: dict[str, BudgetWindow] = {}
        self._rebuilding: dict[str, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()

    def start(self) -> None:
        """Connect in the background, and begin to say that this process lives. Needs a running event loop."""
        self.link.start()
        self._start_task(self._beat())
        self._start_task(repeat(self.resynchronise))

    async def stop(self) -> None:
        """Send what was settled, and say no more that this process lives."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.link.stop()

    def _start_task(self, work: Any) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    # --- requests --------------------------------------------------------------------------------------------------------

    async def reserve(self, claim: Claim) -> Levels:
        """See :class:`~accounts.limits.claims.Counts`."""
        deadline = time.monotonic() + WAIT_SECONDS
        needs_redis = any(window.budget.is_hard for window in claim.windows)
        while True:
            try:
                reply = await self.link.call(*_reserve_arguments(claim), on_late=lambda reply: self._give_back(claim, reply))
            except Disconnected:
                if not needs_redis:
                    return await self._reserve_alone(claim)
                if time.monotonic() >= deadline:
                    raise CountsUnavailable("Redis does not answer") from None
            else:
                if reply[0] != "settling":
                    return self._accept(claim, reply)
            await asyncio.sleep(POLL_SECONDS)

    def _accept(self, claim: Claim, reply: Reply) -> Levels:
        match reply[0]:
            case "ok":
                self._hold(claim)
                for window in claim.windows:
                    self._recent[window.state] = window
                for index in reply[3] or ():
                    self._start_rebuild(claim.windows[index])
                return _levels(reply[1], reply[2], is_over=reply[4])
            case "over":
                raise OverLimit(reply[1], reply[2], _levels(reply[3], reply[4]))
            case "budget":
                raise OverBudget(claim.windows[reply[1]])
        raise UnknownSpend([claim.windows[index] for index in reply[1]])

    def _give_back(self, claim: Claim, reply: Reply) -> None:
        """The client left while Redis admitted its request."""
        if reply[0] == "ok":
            self._hold(claim)
            self.settle(claim, tokens=0, cost=0)

    def settle(self, claim: Claim, *, tokens: int, cost: int) -> None:
        """See :class:`~accounts.limits.claims.Counts`."""
        if self._alone_ids.pop(claim.id, None) is not None:
            self._alone.settle(self._share(claim), tokens=tokens, cost=cost)
            if claim.windows:
                self._send_settled(claim, tokens=0, cost=cost, is_held=False)
            return
        self._release(claim)
        self._send_settled(claim, tokens=tokens - reserved_tokens(claim), cost=cost, is_held=True)

    def _send_settled(self, claim: Claim, *, tokens: int, cost: int, is_held: bool) -> None:
        key, line = claim.key, ""
        if claim.windows:
            line = _line(Settled(key.id, key.owner, claim.timestamp, cost)).decode()
        reserved, spent = divmod(claim.cost or 0, MICRO), divmod(cost, MICRO)
        windows = [[window.state, *reserved, *spent, _until(window)] for window in claim.windows]
        self.link.send("settle", key.id, key.token_limit or 0, tokens, int(is_held), claim.id, line, windows)

    def _hold(self, claim: Claim) -> None:
        self.running[claim.key.id] = self.running.get(claim.key.id, 0) + 1
        for window in claim.windows:
            amount, _ = self._reserved.get(window.state, (0, window))
            self._reserved[window.state] = (amount + (claim.cost or 0), window)

    def _release(self, claim: Claim) -> None:
        running = self.running.get(claim.key.id, 0) - 1
        if running > 0:
            self.running[claim.key.id] = running
        else:
            self.running.pop(claim.key.id, None)
        for window in claim.windows:
            amount, _ = self._reserved.get(window.state, (0, window))
            self._reserved[window.state] = (amount - (claim.cost or 0), window)
            if self._reserved[window.state][0] <= 0:
                del self._reserved[window.state]

    def _held(self) -> list[Any]:
        """The arguments of ``sync``."""
        budgets = [[state, *divmod(amount, MICRO), _until(window)] for state, (amount, window) in self._reserved.items()]
        return [[[key_id, number] for key_id, number in self.running.items()], budgets]

    # --- without Redis ---------------------------------------------------------------------------------------------------

    async def _reserve_alone(self, claim: Claim) -> Levels:
        levels = await self._alone.reserve(self._share(claim))
        self._alone_ids[claim.id] = claim
        return levels

    def _share(self, claim: Claim) -> Claim:
        """The claim with this process's share of the key's limits, and without budgets."""
        key = claim.key

        def share(limit: int | None) -> int | None:
            return None if limit is None else max(1, limit // self._processes)

        own: Key = msgspec.structs.replace(
            key, rate_limit=share(key.rate_limit), token_limit=share(key.token_limit), concurrency_limit=share(key.concurrency_limit)
        )
        return msgspec.structs.replace(claim, key=own, windows=())

    # --- this process lives ----------------------------------------------------------------------------------------------

    async def _beat(self) -> None:
        while True:
            with suppress(Disconnected):
                _, was_dead, round_id, processes = await self.link.call("beat")
                self._processes = max(1, processes)
                if was_dead:
                    await self.link.call("sync", *self._held())
                if round_id and round_id != self._round:
                    await self._report(round_id)
            await asyncio.sleep(BEAT_SECONDS)

    async def _report(self, round_id: str) -> None:
        """Say which requests of this machine are not in the database yet."""
        requests = await asyncio.to_thread(ledger.unwritten())
        lines = [text for log_id, request in requests.items() for text in (log_id, _line(request).decode())]
        await self.link.call("report", round_id, lines)
        self._round = round_id

    # --- what was spent --------------------------------------------------------------------------------------------------

    async def rebuild(self, windows: list[BudgetWindow]) -> None:
        """See :class:`~accounts.limits.claims.Counts`. One process rebuilds a period; the others wait."""
        await asyncio.wait([self._start_rebuild(window) for window in windows])

    def _start_rebuild(self, window: BudgetWindow) -> asyncio.Task[Any]:
        """The task that rebuilds a period, which goes on if the request that needs it is cancelled."""
        task = self._rebuilding.get(window.state)
        if task is None:
            task = self._rebuilding[window.state] = self._start_task(self._try_to_rebuild(window))
            task.add_done_callback(lambda _: self._rebuilding.pop(window.state, None))
        return task

    async def _try_to_rebuild(self, window: BudgetWindow) -> None:
        """A rebuild that fails is tried again by the next request that needs it."""
        try:
            await self._rebuild(window)
        except (Disconnected, CountsUnavailable, DatabaseError, InterfaceError, redis.RedisError, OSError) as error:
            reason = " ".join(str(error).split()) or "Redis does not answer"
            logger.warning("what was spent of the budget of %s cannot be read: %s", window.budget.name, reason)
            await asyncio.sleep(POLL_SECONDS)

    async def _rebuild(self, window: BudgetWindow) -> None:
        state, round_id = window.state, uuid.uuid4().hex
        if (await self.link.call("begin", state, round_id))[0] == "busy":
            await asyncio.sleep(POLL_SECONDS)
            return
        deadline = time.monotonic() + WAIT_SECONDS
        while (reply := await self.link.call("reported", round_id))[0] != "ok":
            if time.monotonic() >= deadline:
                raise CountsUnavailable("not every process has reported its requests")
            await asyncio.sleep(POLL_SECONDS)
        reported = _requests(reply[1])
        captured: dict[str, Settled] = {}

        def read_captured() -> Mapping[str, Settled]:
            """Called in the thread that reads the ledger, once its sums are fixed."""
            with redis.Redis.from_url(self._url, socket_timeout=RESPONSE_SECONDS, socket_connect_timeout=RESPONSE_SECONDS) as client:
                lines = client.hgetall(f"pxbin:limits:settled:{state}")
            captured.update({log_id.decode(): _read_line(line) for log_id, line in lines.items()})
            return {**reported, **captured}

        (spent,), _ = await ledger.read(None, [window], read_captured)
        await self.link.call("install", state, round_id, *divmod(spent, MICRO), _until(window), list(captured))

    async def resynchronise(self) -> None:
        """Read the ledger again for the budgets in use: it may have been rated again."""
        recent, self._recent = self._recent, {}
        for window in recent.values():
            await asyncio.wait([self._start_rebuild(window)])


def _reserve_arguments(claim: Claim) -> list[Any]:
    key = claim.key
    cost = divmod(claim.cost or 0, MICRO)
    windows = [
        [window.state, *divmod(window.budget.amount, MICRO), int(window.budget.is_hard), int(claim.cost is not None), *cost, _until(window)]
        for window in claim.windows
    ]
    limits = (key.rate_limit or 0, key.token_limit or 0, key.concurrency_limit or 0)
    return ["reserve", key.id, *limits, reserved_tokens(claim), windows]


def _forget_lease(arguments: list[Any]) -> None:
    """A settlement that is sent after ``sync``, which has said what the process still holds."""
    if arguments[0] == "settle":
        arguments[4] = 0


def _until(window: BudgetWindow) -> int:
    """When the counts of a period are dropped, a day after its end, in Unix milliseconds; 0: never."""
    return 0 if math.isinf(window.span.end) else int((window.span.end + 86400) * 1000)


def _levels(requests: float, tokens: float, *, is_over: bool = False) -> Levels:
    return Levels(None if requests == -1 else requests, None if tokens == -1 else tokens, is_over)


def _requests(flat: Any) -> dict[str, Settled]:
    values = flat or []
    return {values[index]: _read_line(values[index + 1]) for index in range(0, len(values), 2)}

"""How processes tell one another, through Redis, what cools, what is broken, and which key a session has.

Requests never wait for Redis: a change is laid into a queue, where the newest of its kind and subject replaces the older one,
and a task sends what has gathered. What a process needs that starts later is kept in Redis for as long as it holds. While
Redis is away, or does not answer, every process goes on with what it knows; afterwards it reads everything anew and tells what
it knows again, for Redis may have forgotten it. Keys that a provider refuses travel by the database
(:mod:`upstreams.routing.credential_state`).
"""

from __future__ import annotations

import asyncio
import logging
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import RedisError

from upstreams.routing.live_state import AFFINITY_SECONDS, RoutingState, StateChange

logger = logging.getLogger("pxbin.sharing")

CHANNEL = "pxbin:standing"
AGAIN_SECONDS = 0.5
"""Between two tries to reach Redis."""
BETWEEN_SECONDS = 0.05
"""Between two messages of a busy process: what happens meanwhile goes together."""
PATIENCE_SECONDS = 2.0
"""How long Redis may take for an answer; then it counts as away."""
SILENCE_SECONDS = 5.0
"""How long the channel may be silent before Redis is asked whether it is there."""
MOST_WAITING = 60_000
"""Changes that wait for Redis; the oldest go first, they matter least."""
PAGE = 500
KEEP_LONGER = "if redis.call('PTTL', KEYS[1]) <= tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end"
"""Keep a change for so many milliseconds, unless one is kept that holds longer: of two cooldowns the later end counts."""


class _Message(msgspec.Struct, frozen=True):
    """A change, and the process that tells it."""

    origin: str
    change: StateChange


_encode = msgspec.json.Encoder().encode
_message = msgspec.json.Decoder(_Message)


class RedisSync:
    """One process's share in the common standing. ``start`` and ``stop`` belong to its event loop."""

    def __init__(self, url: str, standing: RoutingState) -> None:
        # No silent second try: after a broken connection everything has to be read anew.
        self._redis = Redis.from_url(
            url, socket_connect_timeout=PATIENCE_SECONDS, socket_timeout=PATIENCE_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        self._standing = standing
        self._origin = uuid.uuid4().hex
        self._waiting: dict[tuple[str, str], StateChange] = {}
        self._lock = threading.Lock()
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._away_for: set[str] = set()

    async def start(self) -> None:
        """Learn what the others know, if Redis is there, and go on listening and telling."""
        with suppress(RedisError, OSError, TimeoutError):  # the listener says so, and goes on trying
            async with asyncio.timeout(3.0):
                await self._load()
        self._standing.publish = self._tell
        self._tasks = [asyncio.create_task(self._send_all()), asyncio.create_task(self._listen())]

    async def stop(self) -> None:
        """Nothing is told or learnt any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    # --- telling ---------------------------------------------------------------------------------------------------------

    def _tell(self, change: StateChange) -> None:
        """From any thread."""
        self._put(change)
        self._loop.call_soon_threadsafe(self._news.set)

    def _put(self, change: StateChange) -> None:
        with self._lock:
            self._waiting.pop((change.kind, change.subject), None)  # the newest stands behind what came before it
            self._waiting[change.kind, change.subject] = change
            if len(self._waiting) > MOST_WAITING:
                del self._waiting[next(iter(self._waiting))]

    def _take_waiting(self) -> list[StateChange]:
        with self._lock:
            names = [name for name, _ in zip(self._waiting, range(PAGE), strict=False)]
            return [self._waiting.pop(name) for name in names]

    def _put_back(self, changes: Sequence[StateChange]) -> None:
        """What could not be sent waits in front again, except what has been overtaken."""
        with self._lock:
            late = {(each.kind, each.subject): each for each in changes if (each.kind, each.subject) not in self._waiting}
            self._waiting = late | self._waiting

    async def _send_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while changes := self._take_waiting():
                try:
                    await self.send(changes)
                except (RedisError, OSError) as error:
                    self._put_back(changes)
                    self._away("telling", error)
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    self._back("telling")
                    await asyncio.sleep(BETWEEN_SECONDS)

    async def send(self, changes: Sequence[StateChange]) -> None:
        """Tell changes now, and keep them for those that start later. Raises Redis' errors."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for change in changes:
                content = _encode(_Message(self._origin, change))
                await self._keep(pipe, change, content)
                pipe.publish(CHANNEL, content)
            await pipe.execute()

    async def _keep(self, pipe: Any, change: StateChange, content: bytes) -> None:
        """Lay into ``pipe`` what those have to find that start later."""
        if change.kind == "cleared":
            known = [key async for key in self._redis.scan_iter(_kept("cooling", f"key:{change.subject}*"), count=PAGE)]
            pipe.delete(*known, _kept("cooling", f"upstream:{change.value}"), _kept("broken", change.value))
        elif change.kind == "mended":
            pipe.delete(_kept("broken", change.subject))
        else:
            seconds = change.until - self._standing.clock() if change.until else AFFINITY_SECONDS
            if seconds > 0:
                pipe.eval(KEEP_LONGER, 1, _kept(change.kind, change.subject), content, max(1, round(seconds * 1000)))

    # --- learning --------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(CHANNEL)
                    await self._load()
                    self._tell_again()
                    self._back("learning")
                    await self._hear(channel)
            except (RedisError, OSError) as error:
                self._away("learning", error)
            await asyncio.sleep(AGAIN_SECONDS)

    async def _hear(self, channel: Any) -> None:
        """Learn what is told, until Redis breaks off or says nothing even when it is asked."""
        deadline, asked = self._loop.time() + SILENCE_SECONDS, False
        while True:
            told = await channel.get_message(timeout=max(0.01, deadline - self._loop.time()))
            if told is not None:
                deadline, asked = self._loop.time() + SILENCE_SECONDS, False
                if told["type"] == "message":
                    self._learn(told["data"])
            elif self._loop.time() >= deadline:
                if asked:
                    raise RedisConnectionError("Redis does not answer")
                await channel.ping()
                deadline, asked = self._loop.time() + PATIENCE_SECONDS, True

    async def _load(self) -> None:
        """Everything that holds now."""
        keys: list[bytes] = []
        async for key in self._redis.scan_iter(f"{CHANNEL}:*", count=PAGE):
            keys.append(key)
            if len(keys) == PAGE:
                await self._take(keys)
                keys = []
        await self._take(keys)

    async def _take(self, keys: list[bytes]) -> None:
        for content in await self._redis.mget(keys) if keys else ():
            if content is not None:
                self._learn(content)

    def _learn(self, content: bytes | str) -> None:
        try:
            message = _message.decode(content)
        except msgspec.DecodeError as error:  # from another version of ours
            logger.warning("a change of standing cannot be read: %s", error)
            return
        if message.origin != self._origin:
            self._standing.learnt(message.change)

    # --- Redis itself ------------------------------------------------------------------------------------------------------

    def _away(self, task: str, error: Exception) -> None:
        """Each task finds out for itself: Redis may let us learn and not tell, when its memory is full."""
        if not self._away_for:
            logger.warning("Redis is away, this process goes by what it knows itself: %s", error)
        self._away_for.add(task)

    def _back(self, task: str) -> None:
        if self._away_for:
            self._away_for.discard(task)
            if not self._away_for:
                logger.warning("Redis is back")

    def _tell_again(self) -> None:
        """After an outage Redis may have forgotten what holds."""
        if "learning" in self._away_for:
            for change in self._standing.holding():
                self._put(change)
            self._news.set()


@contextmanager
def telling(url: str, standing: RoutingState) -> Iterator[None]:
    """In a process without an event loop of ours (a worker): what changes meanwhile is told at the end. Empty ``url``: nobody."""
    if not url:
        yield
        return
    changes: list[StateChange] = []
    usual, standing.publish = standing.publish, changes.append
    try:
        yield
    finally:
        standing.publish = usual
        if changes:
            asyncio.run(_tell_at_once(url, standing, changes))


async def _tell_at_once(url: str, standing: RoutingState, changes: list[StateChange]) -> None:
    share = RedisSync(url, standing)
    try:
        await share.send(changes)
    except (RedisError, OSError) as error:
        logger.warning("Redis is away, other processes are not told: %s", error)
    finally:
        await share.stop()


def _kept(kind: str, subject: str) -> str:
    return f"{CHANNEL}:{kind}:{subject}"

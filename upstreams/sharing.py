"""How processes tell one another, through Redis, what cools, what is broken, and which key a session has.

Requests never wait for Redis: a change is laid into a queue, and a task sends it. What a process needs that starts later is
kept in Redis for as long as it holds. While Redis is away every process goes on with what it knows; afterwards it reads
everything anew. Keys that a provider refuses travel by the database (:mod:`upstreams.disabling`).
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
from redis.asyncio import Redis
from redis.exceptions import RedisError

from upstreams.standing import AFFINITY_SECONDS, Change, Standing

logger = logging.getLogger("pxbin.sharing")

CHANNEL = "pxbin:standing"
AGAIN_SECONDS = 0.5
"""Between two tries to reach Redis."""
MOST_WAITING = 20_000
"""Changes that wait for Redis; the oldest go first, they matter least."""
PAGE = 500


class _Message(msgspec.Struct, frozen=True):
    """A change, and the process that tells it."""

    origin: str
    change: Change


_encode = msgspec.json.Encoder().encode
_message = msgspec.json.Decoder(_Message)


class Sharing:
    """One process's share in the common standing. ``start`` and ``stop`` belong to its event loop."""

    def __init__(self, url: str, standing: Standing) -> None:
        self._redis = Redis.from_url(url, socket_connect_timeout=2.0, health_check_interval=5)
        self._standing = standing
        self._origin = uuid.uuid4().hex
        self._waiting: deque[Change] = deque(maxlen=MOST_WAITING)
        self._news = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._is_away = False

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

    def _tell(self, change: Change) -> None:
        """From any thread."""
        self._waiting.append(change)
        self._loop.call_soon_threadsafe(self._news.set)

    async def _send_all(self) -> None:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._waiting:
                change = self._waiting[0]
                try:
                    await self.send(change)
                except (RedisError, OSError) as error:
                    self._away(error)
                    await asyncio.sleep(AGAIN_SECONDS)
                else:
                    if self._waiting and self._waiting[0] is change:
                        self._waiting.popleft()

    async def send(self, change: Change) -> None:
        """Tell one change now, and keep it for those that start later. Raises Redis' errors."""
        content = _encode(_Message(self._origin, change))
        async with self._redis.pipeline(transaction=True) as pipe:
            if change.kind == "cleared":
                known = [key async for key in self._redis.scan_iter(_kept("cooling", f"key:{change.subject}*"), count=PAGE)]
                pipe.delete(*known, _kept("cooling", f"upstream:{change.value}"), _kept("broken", change.value))
            elif change.kind == "mended":
                pipe.delete(_kept("broken", change.subject))
            else:
                seconds = AFFINITY_SECONDS if change.kind == "session" else change.until - self._standing.clock()
                if seconds > 0:
                    pipe.set(_kept(change.kind, change.subject), content, px=max(1, round(seconds * 1000)))
            pipe.publish(CHANNEL, content)
            await pipe.execute()

    # --- learning --------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(CHANNEL)
                    await self._load()
                    self._back()
                    async for told in channel.listen():
                        self._learn(told["data"])
            except (RedisError, OSError) as error:
                self._away(error)
            await asyncio.sleep(AGAIN_SECONDS)

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

    def _away(self, error: Exception) -> None:
        if not self._is_away:
            self._is_away = True
            logger.warning("Redis is away, this process goes by what it knows itself: %s", error)

    def _back(self) -> None:
        if self._is_away:
            self._is_away = False
            logger.warning("Redis is back")


@contextmanager
def telling(url: str, standing: Standing) -> Iterator[None]:
    """In a process without an event loop of ours (a worker): what changes meanwhile is told at the end. Empty ``url``: nobody."""
    if not url:
        yield
        return
    changes: list[Change] = []
    usual, standing.publish = standing.publish, changes.append
    try:
        yield
    finally:
        standing.publish = usual
        if changes:
            asyncio.run(_tell_at_once(url, standing, changes))


async def _tell_at_once(url: str, standing: Standing, changes: list[Change]) -> None:
    share = Sharing(url, standing)
    try:
        for change in changes:
            await share.send(change)
    except (RedisError, OSError) as error:
        logger.warning("Redis is away, other processes are not told: %s", error)
    finally:
        await share.stop()


def _kept(kind: str, subject: str) -> str:
    return f"{CHANNEL}:{kind}:{subject}"

"""Replication of the routing state between processes through Redis: cooldowns, breakers, sessions, last used credentials.

Requests never wait for Redis: a change is put into a queue, in which the newest of its kind and subject replaces the older
one, and a task publishes the queue. Changes that a process needs that starts later are also stored in Redis until they end.
While Redis is unreachable, every process works with its own state; afterwards it reads all stored changes again and publishes
its own again, because Redis may have lost them. Disabled credentials are replicated through the database
(:mod:`upstreams.routing.credential_state`).

In Redis: messages on the channel ``pxbin:standing``, and keys ``pxbin:standing:<kind>:<subject>`` with the same messages, which
expire when the change ends. A message is ``{"origin": …, "change": {"kind", "subject", "until", "value"}}``. Remote objects are not
published: each id is a hash ``pxbin:made:<id>`` of JSON by client key, which processes read when a request names an id that they do
not know.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
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

from accounts.common.steady_clock import steady_time_of, wall_time_of
from upstreams.routing.cooldowns import CooldownScope, subject_of
from upstreams.routing.live_state import ChangeKind, RoutingState, StateChange
from upstreams.routing.remote_objects import RemoteObject
from upstreams.routing.session_affinity import AFFINITY_SECONDS

logger = logging.getLogger("pxbin.redis_sync")

CHANNEL = "pxbin:standing"
OBJECTS = "pxbin:made"
"""Beginning of the keys of remote objects."""
RETRY_SECONDS = 0.5
"""Between two attempts to reach Redis."""
BATCH_SECONDS = 0.05
"""Between two batches of a busy process; changes in this time are sent together."""
RESPONSE_SECONDS = 2.0
"""How long Redis may take to respond; then it counts as unreachable."""
CANCEL_SECONDS = 0.1
"""How long a cancelled task may take to end; then it is cancelled again."""
PING_SECONDS = 5.0
"""After this time without a message Redis is pinged."""
MAX_QUEUED = 60_000
"""Changes that wait for Redis; beyond that the oldest are dropped, because they matter least."""
BATCH_SIZE = 500
SET_UNLESS_LONGER = "if redis.call('PTTL', KEYS[1]) <= tonumber(ARGV[2]) then redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end"
"""Store a change for so many milliseconds, unless the stored one lasts longer: of two cooldowns the later end counts."""
KEEP_LONGER = (
    "redis.call('HSET', KEYS[1], ARGV[1], ARGV[2]) "
    "if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[3]) then redis.call('PEXPIRE', KEYS[1], ARGV[3]) end"
)
"""Store an object of one key for so many milliseconds; a hash lasts as long as its last object."""


class _Message(msgspec.Struct, frozen=True):
    """A change and the process that publishes it."""

    origin: str
    change: StateChange


_encode = msgspec.json.Encoder().encode
_decoder = msgspec.json.Decoder(_Message)
_object_decoder = msgspec.json.Decoder(RemoteObject)


class RedisSync:
    """Replicates the routing state of one process. ``start`` and ``stop`` run in its event loop."""

    def __init__(self, url: str, state: RoutingState) -> None:
        # No retry inside the client: after a broken connection everything has to be read again.
        self._redis = Redis.from_url(
            url, socket_connect_timeout=RESPONSE_SECONDS, socket_timeout=RESPONSE_SECONDS, retry=Retry(NoBackoff(), 0)
        )
        self._state = state
        self._origin = uuid.uuid4().hex
        self._queue: dict[tuple[ChangeKind, str], StateChange] = {}
        self._lock = threading.Lock()
        self._is_queued = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._tasks: list[asyncio.Task[None]] = []
        self._failing_tasks: set[str] = set()

    async def start(self) -> None:
        """Apply the stored changes, if Redis is reachable within 3 s, and begin to publish and to listen."""
        with suppress(RedisError, OSError, TimeoutError):  # the listener logs it, and tries again
            async with asyncio.timeout(3.0):
                await self._load()
        self._state.publish = self._publish
        self._tasks = [asyncio.create_task(self._send_queued()), asyncio.create_task(self._listen())]

    async def stop(self) -> None:
        running = set(self._tasks)
        while running:  # more than once: redis-py 8.1 loses a cancellation that comes while it connects or subscribes
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=CANCEL_SECONDS)
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    # --- publishing ------------------------------------------------------------------------------------------------------

    def _publish(self, change: StateChange) -> None:
        """Queue a change; from any thread."""
        self._put(change)
        self._loop.call_soon_threadsafe(self._is_queued.set)

    def _put(self, change: StateChange) -> None:
        with self._lock:
            self._queue.pop((change.kind, change.subject), None)  # the newest is sent after the changes before it
            self._queue[change.kind, change.subject] = change
            if len(self._queue) > MAX_QUEUED:
                del self._queue[next(iter(self._queue))]

    def _take_batch(self) -> list[StateChange]:
        with self._lock:
            keys = [key for key, _ in zip(self._queue, range(BATCH_SIZE), strict=False)]
            return [self._queue.pop(key) for key in keys]

    def _put_back(self, changes: Sequence[StateChange]) -> None:
        """Put changes that could not be sent before the others, unless a newer one of the same kind and subject is queued."""
        with self._lock:
            unsent = {(change.kind, change.subject): change for change in changes if (change.kind, change.subject) not in self._queue}
            self._queue = unsent | self._queue

    async def _send_queued(self) -> None:
        while True:
            await self._is_queued.wait()
            self._is_queued.clear()
            while changes := self._take_batch():
                try:
                    await self.send(changes)
                except (RedisError, OSError) as error:
                    self._put_back(changes)
                    self._mark_failing("sending", error)
                    await asyncio.sleep(RETRY_SECONDS)
                else:
                    self._mark_working("sending")
                    await asyncio.sleep(BATCH_SECONDS)

    async def send(self, changes: Sequence[StateChange]) -> None:
        """Publish changes now, and store them for processes that start later. Raises Redis' errors."""
        async with self._redis.pipeline(transaction=False) as pipe:
            for change in changes:
                if change.kind is ChangeKind.OBJECT_MADE:
                    self._store_object(pipe, change)
                    continue
                content = _encode(_Message(self._origin, _with_until(change, wall_time_of(change.until))))
                await self._store(pipe, change, content)
                pipe.publish(CHANNEL, content)
            await pipe.execute()

    async def _store(self, pipe: Any, change: StateChange, content: bytes) -> None:
        """Add the commands to ``pipe`` that store a change, or that delete what it ends."""
        if change.kind is ChangeKind.COOLDOWNS_CLEARED:
            own = _key(ChangeKind.COOLDOWN_STARTED, subject_of(CooldownScope.CREDENTIAL, credential_id=change.subject))
            cooldowns = [key async for key in self._redis.scan_iter(f"{own}*", count=BATCH_SIZE)]
            of_upstream = subject_of(CooldownScope.UPSTREAM, upstream_id=change.value)
            pipe.delete(*cooldowns, _key(ChangeKind.COOLDOWN_STARTED, of_upstream), _key(ChangeKind.BREAKER_OPENED, change.value))
        elif change.kind is ChangeKind.BREAKER_CLOSED:
            pipe.delete(_key(ChangeKind.BREAKER_OPENED, change.subject))
        else:
            seconds = change.until - self._state.clock() if change.until else AFFINITY_SECONDS
            if seconds > 0:
                pipe.eval(SET_UNLESS_LONGER, 1, _key(change.kind, change.subject), content, max(1, round(seconds * 1000)))

    def _store_object(self, pipe: Any, change: StateChange) -> None:
        object_id, _, api_key_id = change.subject.partition(" ")
        milliseconds = round((change.until - time.time()) * 1000)
        if milliseconds > 0:
            pipe.eval(KEEP_LONGER, 1, f"{OBJECTS}:{object_id}", api_key_id, change.value, milliseconds)

    async def find_objects(self, object_id: str) -> list[RemoteObject]:
        """The remote objects of an id, of all keys; none while Redis does not answer: they are in the database, too."""
        try:
            values = await self._redis.hvals(f"{OBJECTS}:{object_id}")
            return [_object_decoder.decode(value) for value in values]
        except (RedisError, OSError, msgspec.DecodeError) as error:
            logger.warning("a remote object cannot be read from Redis: %s", error)
            return []

    # --- receiving -------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            try:
                async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
                    await channel.subscribe(CHANNEL)
                    await self._load()
                    self._republish()
                    self._mark_working("receiving")
                    await self._receive(channel)
            except (RedisError, OSError) as error:
                self._mark_failing("receiving", error)
            await asyncio.sleep(RETRY_SECONDS)

    async def _receive(self, channel: Any) -> None:
        """Apply messages until the connection breaks, or Redis does not answer a ping."""
        deadline, is_pinged = self._loop.time() + PING_SECONDS, False
        while True:
            message = await channel.get_message(timeout=max(0.01, deadline - self._loop.time()))
            if message is not None:
                deadline, is_pinged = self._loop.time() + PING_SECONDS, False
                if message["type"] == "message":
                    self._apply(message["data"])
            elif self._loop.time() >= deadline:
                if is_pinged:
                    raise RedisConnectionError("Redis does not answer")
                await channel.ping()
                deadline, is_pinged = self._loop.time() + RESPONSE_SECONDS, True

    async def _load(self) -> None:
        """Apply all stored changes."""
        keys: list[bytes] = []
        async for key in self._redis.scan_iter(f"{CHANNEL}:*", count=BATCH_SIZE):
            keys.append(key)
            if len(keys) == BATCH_SIZE:
                await self._apply_stored(keys)
                keys = []
        await self._apply_stored(keys)

    async def _apply_stored(self, keys: list[bytes]) -> None:
        for content in await self._redis.mget(keys) if keys else ():
            if content is not None:
                self._apply(content)

    def _apply(self, content: bytes | str) -> None:
        try:
            message = _decoder.decode(content)
        except msgspec.DecodeError as error:  # published by another version of pxbin
            logger.warning("a change of the routing state in Redis cannot be decoded: %s", error)
            return
        if message.origin != self._origin:
            self._state.apply_remote(_with_until(message.change, steady_time_of(message.change.until)))

    # --- errors ----------------------------------------------------------------------------------------------------------

    def _mark_failing(self, task: str, error: Exception) -> None:
        """By task, because a Redis whose memory is full lets us read and not write."""
        if not self._failing_tasks:
            logger.warning("Redis is unreachable, this process routes by its own state: %s", error)
        self._failing_tasks.add(task)

    def _mark_working(self, task: str) -> None:
        if self._failing_tasks:
            self._failing_tasks.discard(task)
            if not self._failing_tasks:
                logger.warning("Redis is reachable again")

    def _republish(self) -> None:
        """Queue the whole state after an outage, in which Redis may have lost it."""
        if "receiving" in self._failing_tasks:
            for change in self._state.snapshot():
                self._put(change)
            self._is_queued.set()


@contextmanager
def publishing(url: str, state: RoutingState) -> Iterator[None]:
    """For a process without our event loop (a worker): the changes of the block are published at its end. Empty ``url``: never."""
    if not url:
        yield
        return
    changes: list[StateChange] = []
    outer, state.publish = state.publish, changes.append
    try:
        yield
    finally:
        state.publish = outer
        if changes:
            asyncio.run(_send_once(url, state, changes))


async def _send_once(url: str, state: RoutingState, changes: list[StateChange]) -> None:
    sync = RedisSync(url, state)
    try:
        await sync.send(changes)
    except (RedisError, OSError) as error:
        logger.warning("Redis is unreachable, other processes do not learn of changes: %s", error)
    finally:
        await sync.stop()


def _with_until(change: StateChange, until: float) -> StateChange:
    """A change whose end is on the other clock: processes exchange wall time."""
    return change if not change.until or until == change.until else msgspec.structs.replace(change, until=until)


def _key(kind: ChangeKind, subject: str) -> str:
    return f"{CHANNEL}:{kind}:{subject}"

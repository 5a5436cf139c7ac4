"""One connection to Redis over which batches of operations are sent to the script `counts.lua`, in their order.

Operations that are queued while a batch is under way form the next one, so that a busy process needs few round trips. A batch whose
reply was lost may have been applied or not: the script remembers the last one of each process.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import uuid
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis
from redis.exceptions import NoScriptError, RedisError

from accounts.common.outage_log import Outage

logger = logging.getLogger("pxbin.limits")

SCRIPT = Path(__file__).with_name("counts.lua").read_bytes()
DIGEST = hashlib.sha1(SCRIPT).hexdigest().encode()  # noqa: S324  (Redis names scripts so)
RESPONSE_SECONDS = 2.0
RETRY_SECONDS = 0.1
MAX_BATCH = 500
CANCEL_SECONDS = 0.1

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
Reply = list[Any]


class Operation:
    """One operation of the script. ``reply``: where its reply goes, or ``None`` if nobody waits and it is repeated until it is applied."""

    __slots__ = ("arguments", "reply")

    def __init__(self, arguments: list[Any], reply: asyncio.Future[Reply] | None = None) -> None:
        self.arguments = arguments
        self.reply = reply


class Disconnected(Exception):  # noqa: N818  (the name says what happened)
    """Redis does not answer, and the operation may or may not have been applied."""


class RedisLink:
    """The connection of one process. ``held``: the arguments of the operation that says what the process holds; sent after each outage.

    ``forget_lease(arguments)``: changes an operation that is repeated after an outage, because ``held`` has said what it says.
    """

    def __init__(self, url: str, held: Callable[[], list[Any]], forget_lease: Callable[[list[Any]], None]) -> None:
        self.holder = uuid.uuid4().hex
        self.is_up = False
        self._redis = Redis.from_url(url, socket_connect_timeout=RESPONSE_SECONDS, socket_timeout=RESPONSE_SECONDS)
        self._held = held
        self._forget_lease = forget_lease
        self._connection: Any = None
        self._queue: list[Operation] = []
        self._is_queued = asyncio.Event()
        self._number = 0
        self._doubtful: tuple[str, list[Operation]] | None = None
        self._task: asyncio.Task[None] | None = None
        self._outage = Outage(logger, failed="limits cannot be counted in Redis: %s", recovered="limits are counted in Redis again")

    def start(self) -> None:
        """Connect and begin to send."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Send what is queued, if Redis answers, and close the connection."""
        with suppress(TimeoutError, Disconnected):
            await asyncio.wait_for(self.call("beat"), RESPONSE_SECONDS)  # it is answered after all that is queued
        running = {self._task} if self._task is not None else set()
        while running:  # redis-py can lose a cancellation that comes while it connects
            for task in running:
                task.cancel()
            _, running = await asyncio.wait(running, timeout=CANCEL_SECONDS)
        await self._disconnect()
        await self._redis.aclose()

    def send(self, *arguments: Any) -> None:
        """Queue an operation that is applied exactly once, as soon as Redis answers."""
        self._queue.append(Operation(list(arguments)))
        self._is_queued.set()

    async def call(self, *arguments: Any, on_late: Callable[[Reply], None] | None = None) -> Reply:
        """The reply to an operation. Raises :class:`Disconnected`. ``on_late`` gets the reply if the caller is cancelled meanwhile."""
        if not self.is_up:
            raise Disconnected
        reply: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._queue.append(Operation(list(arguments), reply))
        self._is_queued.set()
        try:
            return await asyncio.shield(reply)
        except asyncio.CancelledError:
            reply.add_done_callback(lambda future: _late(future, on_late))
            raise

    # --- the task --------------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while True:
            try:
                await self._connect()
                self.is_up = True
                self._outage.report_success()
                while True:
                    await self._is_queued.wait()
                    self._is_queued.clear()
                    while self._queue:
                        await self._send_batch()
            except (RedisError, OSError, TimeoutError, msgspec.DecodeError) as error:
                self.is_up = False
                self._outage.report_failure(error)
                self._refuse_waiting()
            await self._disconnect()
            await asyncio.sleep(RETRY_SECONDS)

    async def _connect(self) -> None:
        self._connection = self._redis.connection_pool.make_connection()  # type: ignore[no-untyped-call]
        await self._connection.connect()
        await self._connection.send_packed_command(_pack(b"SCRIPT", b"LOAD", SCRIPT), check_health=False)
        await self._connection.read_response()
        await self._sync()

    async def _sync(self) -> None:
        """Say what this process holds; then the operations of a lost batch are repeated unless it was applied."""
        (reply,) = await self._execute([Operation(["sync", *self._held()])])
        if self._doubtful is not None:
            number, operations = self._doubtful
            self._doubtful = None
            if str(reply[1]) != number:
                self._queue = operations + self._queue
        for operation in self._queue:
            self._forget_lease(operation.arguments)
        if self._queue:
            self._is_queued.set()

    async def _send_batch(self) -> None:
        batch, self._queue = self._queue[:MAX_BATCH], self._queue[MAX_BATCH:]
        self._doubtful = None
        try:
            replies = await self._execute(batch)
        except BaseException:
            self._doubtful = (str(self._number), [operation for operation in batch if operation.reply is None])
            _fail(batch)
            raise
        if replies is None:  # Redis was emptied; nothing of the batch was applied
            self._queue = [operation for operation in batch if operation.reply is None] + self._queue
            _fail(batch)
            await self._sync()
            return
        for operation, reply in zip(batch, replies, strict=True):
            if operation.reply is not None and not operation.reply.done():
                operation.reply.set_result(reply)

    async def _execute(self, batch: list[Operation]) -> Any:
        """The replies to a batch; ``None`` if Redis was emptied."""
        self._number += 1
        content = _encode([operation.arguments for operation in batch])
        command = _pack(b"EVALSHA", DIGEST, b"0", self.holder.encode(), str(self._number).encode(), content)
        async with asyncio.timeout(RESPONSE_SECONDS):
            await self._connection.send_packed_command(command, check_health=False)
            try:
                response = await self._connection.read_response()
            except NoScriptError:  # the scripts were flushed
                await self._connection.send_packed_command(_pack(b"SCRIPT", b"LOAD", SCRIPT), check_health=False)
                await self._connection.read_response()
                await self._connection.send_packed_command(command, check_health=False)
                response = await self._connection.read_response()
        replies = _decode(response)
        return None if isinstance(replies, dict) and replies.get("lost") else replies

    def _refuse_waiting(self) -> None:
        """Those who wait are told; the other operations wait for Redis."""
        _fail(self._queue)
        self._queue = [operation for operation in self._queue if operation.reply is None]

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(RedisError, OSError, TimeoutError):
                await connection.disconnect(nowait=True)


def _fail(operations: list[Operation]) -> None:
    for operation in operations:
        if operation.reply is not None and not operation.reply.done():
            operation.reply.set_exception(Disconnected())


def _late(reply: asyncio.Future[Reply], on_late: Callable[[Reply], None] | None) -> None:
    if not reply.cancelled() and reply.exception() is None and on_late is not None:
        on_late(reply.result())


def _pack(*parts: bytes) -> bytes:
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)

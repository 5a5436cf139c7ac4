"""Standing shared through a real Redis, and without one that answers."""

import asyncio
import time
import uuid

from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from upstreams.routing.live_state import RoutingState, StateChange
from upstreams.routing.redis_sync import CHANNEL, RedisSync


async def until(condition):
    async with asyncio.timeout(2):
        while not condition():  # noqa: ASYNC110  (it is about memory that nobody announces)
            await asyncio.sleep(0.01)


async def test_one_learns_what_the_other_tells_and_a_late_one_what_was_told(redis_url):
    key, upstream, session = (uuid.uuid4().hex for _ in range(3))
    first, second, late = RoutingState(), RoutingState(), RoutingState()
    shares = [RedisSync(redis_url, standing) for standing in (first, second)]
    for share in shares:
        await share.start()
    await asyncio.sleep(0.2)
    end = first.cool(f"key:{key}@r", 30)
    first.served(key, session)
    await until(lambda: second.cooldowns.until(key, "r", upstream) == end and second.sessions.key_of(session) == key)

    shares.append(RedisSync(redis_url, late))
    await shares[-1].start()
    assert (late.cooldowns.until(key, "r", upstream), late.sessions.key_of(session)) == (end, key)

    second.clear(key, upstream)
    await until(lambda: first.cooldowns.until(key, "r", upstream) == late.cooldowns.until(key, "r", upstream) == 0)
    for share in shares:
        await share.stop()


async def test_of_two_cooldowns_a_late_one_learns_the_longer_unless_it_was_brought_back(redis_url):
    key = uuid.uuid4().hex
    here, there, late, later = (RoutingState() for _ in range(4))
    shares = [RedisSync(redis_url, standing) for standing in (here, there, late, later)]

    async def learnt_by(share, standing):
        await share.start()
        return standing.cooldowns.until(key, "r", "u")

    end = here.clock() + 60
    await shares[0].send([StateChange("cooling", f"key:{key}", end)])
    await shares[1].send([StateChange("cooling", f"key:{key}", end - 50)])  # before it has heard of the other
    assert await learnt_by(shares[2], late) == end
    await shares[0].send([StateChange("cleared", key, value="u"), StateChange("cooling", f"key:{key}", end - 50)])
    assert await learnt_by(shares[3], later) == end - 50
    await shares[0].send([StateChange("cleared", key, value="u")])
    for share in shares:
        await share.stop()


async def test_redis_is_back_when_all_that_failed_works_again(redis_url, caplog):
    share = RedisSync(redis_url, RoutingState())
    await share.start()
    await asyncio.sleep(0.1)
    send, full = share.send, True

    async def refused(changes):
        if full:
            raise OutOfMemoryError("command not allowed when used memory > 'maxmemory'")
        await send(changes)

    share.send = refused
    for name in ("Redis is away", "Redis is back", "Redis is away"):
        full = name == "Redis is away"
        share._tell(StateChange("session", uuid.uuid4().hex, value="k"))
        await until(lambda name=name: caplog.messages and caplog.messages[-1].startswith(name))
    await share.stop()
    assert len(caplog.messages) == 3


async def test_what_cannot_be_read_is_passed_over(redis_url):
    known = RoutingState()
    share = RedisSync(redis_url, known)
    await share.start()
    await asyncio.sleep(0.2)
    async with Redis.from_url(redis_url) as client:
        await client.publish(CHANNEL, b"{")
        told = {"origin": "another", "change": {"kind": "cooling", "subject": "key:k", "until": time.time() + 9}}
        await client.publish(CHANNEL, str(told).replace("'", '"'))
    await until(lambda: known.cooldowns.until("k", "r", "u"))
    await share.stop()


async def test_without_redis_a_process_starts_and_goes_on(unused_tcp_port):
    known = RoutingState()
    share = RedisSync(f"redis://127.0.0.1:{unused_tcp_port}/0", known)
    began = time.monotonic()
    await share.start()
    known.publish(StateChange("session", "s", value="k"))
    await asyncio.sleep(0.05)
    await share.stop()
    assert time.monotonic() - began < 2

"""Standing shared through a real Redis, and without one that answers."""

import time
import uuid

import msgspec
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from tests.support.waiting import eventually_async
from upstreams.routing.live_state import RoutingState, StateChange
from upstreams.routing.redis_sync import CHANNEL, RedisSync


async def in_touch(redis_url, *standings):
    """Wait until each of them hears what others tell."""
    key = uuid.uuid4().hex
    told = msgspec.json.encode({"origin": "a probe", "change": {"kind": "cooling", "subject": f"key:{key}", "until": time.time() + 3600}})
    async with Redis.from_url(redis_url) as client:

        async def heard():
            await client.publish(CHANNEL, told)
            return all(each.cooldowns.until(key, "r", "u") for each in standings)

        assert await eventually_async(heard)


async def test_one_learns_what_the_other_tells_and_a_late_one_what_was_told(redis_url):
    key, upstream, session = (uuid.uuid4().hex for _ in range(3))
    first, second, late = RoutingState(), RoutingState(), RoutingState()
    shares = [RedisSync(redis_url, standing) for standing in (first, second)]
    for share in shares:
        await share.start()
    await in_touch(redis_url, first, second)
    end = first.cool(f"key:{key}@r", 30)
    first.served(key, session)
    assert await eventually_async(lambda: second.cooldowns.until(key, "r", upstream) == end and second.sessions.key_of(session) == key)

    shares.append(RedisSync(redis_url, late))
    await shares[-1].start()
    assert (late.cooldowns.until(key, "r", upstream), late.sessions.key_of(session)) == (end, key)

    second.clear(key, upstream)
    assert await eventually_async(lambda: first.cooldowns.until(key, "r", upstream) == late.cooldowns.until(key, "r", upstream) == 0)
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
    known = RoutingState()
    share = RedisSync(redis_url, known)
    await share.start()
    await in_touch(redis_url, known)
    send, full = share.send, True

    async def refused(changes):
        if full:
            raise OutOfMemoryError("command not allowed when used memory > 'maxmemory'")
        await send(changes)

    share.send = refused
    for name in ("Redis is away", "Redis is back", "Redis is away"):
        full = name == "Redis is away"
        share._tell(StateChange("session", uuid.uuid4().hex, value="k"))
        assert await eventually_async(lambda name=name: caplog.messages and caplog.messages[-1].startswith(name))
    await share.stop()
    assert len(caplog.messages) == 3


async def test_what_cannot_be_read_is_passed_over(redis_url, caplog):
    known = RoutingState()
    share = RedisSync(redis_url, known)
    await share.start()
    await in_touch(redis_url, known)
    async with Redis.from_url(redis_url) as client:
        await client.publish(CHANNEL, b"{")
    await in_touch(redis_url, known)
    await share.stop()
    assert [message.partition(":")[0] for message in caplog.messages] == ["a change of standing cannot be read"]


async def test_without_redis_a_process_starts_and_goes_on(caplog):
    known = RoutingState()
    share = RedisSync("redis://127.0.0.1:1/0", known)
    await share.start()
    known.publish(StateChange("session", "s", value="k"))
    assert await eventually_async(lambda: caplog.messages)
    await share.stop()
    assert [message.partition(",")[0] for message in caplog.messages] == ["Redis is away"]

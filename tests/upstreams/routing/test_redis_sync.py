"""Routing state replicated through a real Redis, and without one that answers."""

import asyncio
import json
import time
import uuid
from contextlib import asynccontextmanager

import pytest
from redis.asyncio import Redis
from redis.exceptions import OutOfMemoryError

from tests.support.waiting import eventually_async
from upstreams.routing.live_state import ChangeKind, RoutingState, StateChange
from upstreams.routing.redis_sync import CHANNEL, RedisSync
from upstreams.routing.remote_objects import RemoteObject


@asynccontextmanager
async def synchronized(url, *states):
    """Syncs that have subscribed: what one publishes from now on the others receive."""
    syncs = [RedisSync(url, state) for state in states]
    for sync in syncs:
        await sync.start()
    async with Redis.from_url(url) as client:
        for state in states:
            session = uuid.uuid4().hex
            message = {"origin": "a test", "change": {"kind": "session", "subject": session, "until": 0.0, "value": "c"}}
            async with asyncio.timeout(5):
                while state.sessions.credential_of(session) is None:
                    await client.publish(CHANNEL, json.dumps(message))
                    await asyncio.sleep(0.01)
    try:
        yield syncs
    finally:
        for sync in syncs:
            await sync.stop()


async def test_processes_apply_the_changes_of_others_and_a_later_one_the_stored_changes(redis_url):
    credential, upstream, session = (uuid.uuid4().hex for _ in range(3))
    first, second, late = RoutingState(), RoutingState(), RoutingState()
    async with synchronized(redis_url, first, second):
        end = first.start_cooldown(f"key:{credential}@r", 30)
        first.pin_session(credential, session)
        assert await eventually_async(
            lambda: second.cooldowns.until(credential, "r", upstream) == end and second.sessions.credential_of(session) == credential
        )
        late_sync = RedisSync(redis_url, late)
        await late_sync.start()
        assert (late.cooldowns.until(credential, "r", upstream), late.sessions.credential_of(session)) == (end, credential)
        second.clear_cooldowns(credential, upstream)
        assert await eventually_async(
            lambda: first.cooldowns.until(credential, "r", upstream) == late.cooldowns.until(credential, "r", upstream) == 0
        )
        await late_sync.stop()


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        (
            StateChange(ChangeKind.COOLDOWN_STARTED, "key:<id>@r", 4e9),
            {"kind": "cooling", "subject": "key:<id>@r", "until": 4e9, "value": ""},
        ),
        (StateChange(ChangeKind.BREAKER_OPENED, "<id>", 4e9), {"kind": "broken", "subject": "<id>", "until": 4e9, "value": ""}),
        (StateChange(ChangeKind.SESSION_PINNED, "<id>", value="c"), {"kind": "session", "subject": "<id>", "until": 0.0, "value": "c"}),
        (StateChange(ChangeKind.CREDENTIAL_USED, "<id>", value="c"), {"kind": "used", "subject": "<id>", "until": 0.0, "value": "c"}),
    ],
    ids=lambda value: value.kind.name if isinstance(value, StateChange) else "",
)
async def test_keys_and_messages_have_the_form_of_earlier_versions(redis_url, change, fields):
    identity = uuid.uuid4().hex
    change = StateChange(change.kind, change.subject.replace("<id>", identity), change.until, change.value)
    fields = {**fields, "subject": fields["subject"].replace("<id>", identity)}
    sync = RedisSync(redis_url, RoutingState())
    await sync.send([change])
    await sync.stop()
    async with Redis.from_url(redis_url) as client:
        message = json.loads(await client.get(f"pxbin:standing:{fields['kind']}:{fields['subject']}"))
    assert (message["change"], sorted(message)) == (fields, ["change", "origin"])


async def test_recoveries_delete_the_stored_changes_that_they_end(redis_url):
    credential, upstream = uuid.uuid4().hex, uuid.uuid4().hex
    sync = RedisSync(redis_url, RoutingState())
    started = [
        StateChange(ChangeKind.COOLDOWN_STARTED, f"key:{credential}@r", 4e9),
        StateChange(ChangeKind.COOLDOWN_STARTED, f"key:{credential}", 4e9),
        StateChange(ChangeKind.COOLDOWN_STARTED, f"upstream:{upstream}", 4e9),
        StateChange(ChangeKind.BREAKER_OPENED, upstream, 4e9),
    ]
    async with Redis.from_url(redis_url) as client:

        async def stored():
            keys = [key.decode() async for key in client.scan_iter(f"{CHANNEL}:*")]
            return sorted(key.removeprefix(f"{CHANNEL}:") for key in keys if credential in key or upstream in key)

        await sync.send(started)
        assert await stored() == sorted(
            [f"broken:{upstream}", f"cooling:key:{credential}", f"cooling:key:{credential}@r", f"cooling:upstream:{upstream}"]
        )
        await sync.send([StateChange(ChangeKind.BREAKER_CLOSED, upstream)])
        assert f"broken:{upstream}" not in await stored()
        await sync.send([started[-1], StateChange(ChangeKind.COOLDOWNS_CLEARED, credential, value=upstream)])
        assert await stored() == []
    await sync.stop()


async def test_of_two_cooldowns_a_later_process_applies_the_longer_one_unless_it_was_cleared(redis_url):
    credential = uuid.uuid4().hex
    first, second, third, fourth = (RoutingState() for _ in range(4))
    syncs = [RedisSync(redis_url, state) for state in (first, second, third, fourth)]

    async def end_after_start(sync, state):
        await sync.start()
        return state.cooldowns.until(credential, "r", "u")

    end = first.clock() + 60
    long, short = (StateChange(ChangeKind.COOLDOWN_STARTED, f"key:{credential}", until) for until in (end, end - 50))
    cleared = StateChange(ChangeKind.COOLDOWNS_CLEARED, credential, value="u")
    await syncs[0].send([long])
    await syncs[1].send([short])  # before it has received the other one
    assert await end_after_start(syncs[2], third) == end
    await syncs[0].send([cleared, short])
    assert await end_after_start(syncs[3], fourth) == end - 50
    await syncs[0].send([cleared])
    for sync in syncs:
        await sync.stop()


async def test_redis_is_reachable_again_when_all_that_failed_works(redis_url, caplog):
    async with synchronized(redis_url, RoutingState()) as [sync]:
        send, is_full = sync.send, True

        async def send_unless_full(changes):
            if is_full:
                raise OutOfMemoryError("command not allowed when used memory > 'maxmemory'")
            await send(changes)

        sync.send = send_unless_full
        for message in ("Redis is unreachable", "Redis is reachable again", "Redis is unreachable"):
            is_full = message == "Redis is unreachable"
            sync._publish(StateChange(ChangeKind.SESSION_PINNED, uuid.uuid4().hex, value="c"))
            assert await eventually_async(lambda message=message: caplog.messages and caplog.messages[-1].startswith(message))
    assert len(caplog.messages) == 3


@pytest.mark.parametrize("content", [b"{", b'{"origin":"x","change":{"kind":"a later version\'s","subject":"key:c"}}'])
async def test_a_message_that_cannot_be_decoded_is_logged_and_ignored(redis_url, caplog, content):
    state, credential = RoutingState(), uuid.uuid4().hex
    async with synchronized(redis_url, state), Redis.from_url(redis_url) as client:
        await client.publish(CHANNEL, content)
        message = {"origin": "another", "change": {"kind": "cooling", "subject": f"key:{credential}", "until": time.time() + 9}}
        await client.publish(CHANNEL, json.dumps(message))
        assert await eventually_async(lambda: state.cooldowns.until(credential, "r", "u"))
    assert [message.partition(":")[0] for message in caplog.messages] == ["a change of the routing state in Redis cannot be decoded"]


async def test_a_process_stops_at_any_step_of_its_connecting(redis_url):
    for steps in range(150):
        sync = RedisSync(redis_url, RoutingState())
        await sync.start()
        for _ in range(steps):
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            await sync.stop()
        assert all(task.done() for task in sync._tasks)


async def test_without_redis_a_process_starts_and_stops(unused_tcp_port, caplog):
    state = RoutingState()
    sync = RedisSync(f"redis://127.0.0.1:{unused_tcp_port}/0", state)
    async with asyncio.timeout(2):
        await sync.start()
        state.publish(StateChange(ChangeKind.SESSION_PINNED, "s", value="c"))
        assert await eventually_async(lambda: any(message.startswith("Redis is unreachable") for message in caplog.messages))
        await sync.stop()


async def test_another_process_reads_a_remote_object_when_it_needs_it(redis_url):
    object_id = f"resp_{uuid.uuid4().hex}"
    mine = RemoteObject(id=object_id, api_key_id="me", upstream_id="b", credential_id="b1", until=time.time() + 30, remote_id="r")
    others = RemoteObject(id=object_id, api_key_id="other", upstream_id="a", until=time.time() + 60, is_nested=True)
    maker, reader = RoutingState(), RoutingState()
    async with synchronized(redis_url, maker, reader) as (_, reading):
        reader.remote_objects.stores = [reading.find_objects]
        maker.add_object(mine)
        maker.add_object(others)

        async def stored():
            return sorted(await reading.find_objects(object_id), key=lambda stored: stored.api_key_id)

        for _ in range(500):
            if len(await stored()) == 2:
                break
            await asyncio.sleep(0.01)
        assert await stored() == [mine, others]
        assert [await reader.remote_objects.find(object_id, key) for key in ("me", "other")] == [mine, others]
        async with Redis.from_url(redis_url) as client:
            assert 50_000 < await client.pttl(f"pxbin:made:{object_id}") <= 60_000


async def test_while_redis_does_not_answer_nothing_is_found_there(unused_tcp_port, caplog):
    sync = RedisSync(f"redis://127.0.0.1:{unused_tcp_port}/0", RoutingState())
    assert await sync.find_objects("resp_1") == []
    assert "a remote object cannot be read from Redis" in caplog.text
    await sync.stop()

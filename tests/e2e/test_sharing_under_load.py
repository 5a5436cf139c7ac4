"""Two gateways that share Redis while both are busy: cooldowns, recoveries, and a Redis that dies, freezes and comes back.

The upstream refuses a key only to the first gateway: what the second one avoids, it was told. No request may fail or wait
because of Redis.
"""

import asyncio
import time
import uuid
from contextlib import ExitStack, asynccontextmanager

import httpx
import pytest

from tests.e2e.test_sharing import WELL, with_keys
from tests.support import postgres, redis
from tests.support.fake_upstream import json_reply
from tests.support.gateway import Gateway

WORKERS = 5
"""Requests at once for each gateway."""
SOON = 1.0
"""Seconds until the other gateway knows, with room for requests on their way, at full load."""
AGAIN = 3.0
"""Seconds until the gateways are in touch again once Redis is back."""
FROZEN = 6.0
"""Seconds that Redis says nothing. A request that takes as long has waited for it: the upstream answers at once."""


class Servers:
    def __init__(self, first, second, store):
        self.first, self.second, self.redis = first, second, store


@pytest.fixture(scope="module")
def servers():
    with ExitStack() as running:
        store = running.enter_context(redis.running())
        shared = {
            "PXBIN_DATABASE_URL": running.enter_context(postgres.database(running.enter_context(postgres.started()))),
            "PXBIN_REDIS_URL": store.url,
            "PXBIN_ENCRYPTION_KEY": "a passphrase of both",
            "PXBIN_SECRET_KEY": "a secret of both",
            "PXBIN_MAX_DB_CONNS": "6",
            "PXBIN_MIN_DB_CONNS": "1",
            "PXBIN_CELERY": "false",
        }
        first = running.enter_context(Gateway.started(**shared))
        second = running.enter_context(Gateway.started(**shared))
        first.client_key = second.client_key = first.api("POST", "/keys", json={"name": "shared"})["key"]
        yield Servers(first, second, store)


class Upstream:
    """The fake one: `refused` keys get a 429 for the first gateway's requests, with so many seconds to wait."""

    def __init__(self, upstream):
        self.refused = {}
        self.calls = []
        """When, with which key, for which gateway."""
        upstream.otherwise(self._answer)

    def _answer(self, request):
        key = request.header("authorization").removeprefix("Bearer ")
        gateway = request.json()["messages"][0]["content"].split()[0]
        self.calls.append((time.monotonic(), key, gateway))
        if gateway == "first" and key in self.refused:
            return json_reply({"error": {"message": "slow down"}}, status=429, headers={"retry-after": str(self.refused[key])})
        return WELL

    def keys(self, gateway, since):
        """The keys that a gateway has used since then."""
        return {key for when, key, who in self.calls if who == gateway and when >= since}


@asynccontextmanager
async def load(servers, model):
    """Both gateways are busy; yields a list of what became of each request: status and seconds."""
    done, over = [], asyncio.Event()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    async with httpx.AsyncClient(timeout=30, limits=limits) as http:

        async def ask(name, gateway):
            while not over.is_set():
                began = time.monotonic()
                body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": f"{name} {uuid.uuid4().hex}"}]}
                answer = await http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
                done.append((answer.status_code, time.monotonic() - began))
                await asyncio.sleep(0.01)

        named = (("first", servers.first), ("second", servers.second))
        workers = [asyncio.create_task(ask(name, gateway)) for name, gateway in named for _ in range(WORKERS)]
        try:
            yield done
        finally:
            over.set()
            await asyncio.gather(*workers)


def went_well(done):
    assert {status for status, _ in done} == {200}
    assert max(seconds for _, seconds in done) < FROZEN
    return len(done) > 200


async def told(fake, key, others, *, refused_for):
    """The first gateway learns that a key is limited; the second one avoids it soon, and uses the others."""
    fake.refused = {key: refused_for}
    await asyncio.sleep(SOON)
    since = time.monotonic()
    await asyncio.sleep(0.7)
    assert fake.keys("second", since) == others
    assert fake.keys("first", since) == others


KEYS = {"k0", "k1", "k2", "k3"}


async def test_cooldowns_and_recoveries_under_load(servers, upstream):
    name, keys = with_keys(servers.first, upstream, 4, cooldown_seconds=60)
    fake = Upstream(upstream)
    async with load(servers, name) as done:
        await asyncio.sleep(1.0)
        assert fake.keys("first", 0) == fake.keys("second", 0) == KEYS
        await told(fake, "k1", KEYS - {"k1"}, refused_for=2.5)
        fake.refused = {}
        await asyncio.sleep(2.5)  # it has rested: one request tries it, then all use it
        since = time.monotonic()
        await asyncio.sleep(0.7)
        assert fake.keys("first", since) == fake.keys("second", since) == KEYS
        await told(fake, "k2", KEYS - {"k2"}, refused_for=60)
        fake.refused = {}
        await asyncio.to_thread(servers.first.api, "PATCH", f"/credentials/{keys[2]}", json={"is_active": True})
        since = time.monotonic() + SOON
        await asyncio.sleep(SOON + 0.7)
        assert fake.keys("first", since) == fake.keys("second", since) == KEYS
    assert went_well(done)


@pytest.mark.parametrize("ending", ["dies", "freezes"])
async def test_without_redis_each_goes_by_itself_and_afterwards_they_are_in_touch_again(servers, upstream, ending):
    name, _ = with_keys(servers.first, upstream, 4, cooldown_seconds=60)
    fake = Upstream(upstream)
    async with load(servers, name) as done:
        await told(fake, "k0", KEYS - {"k0"}, refused_for=60)
        await asyncio.to_thread(servers.redis.kill if ending == "dies" else servers.redis.freeze)
        try:
            fake.refused = {"k1": 60}
            await asyncio.sleep(SOON)
            since = time.monotonic()
            await asyncio.sleep(FROZEN if ending == "freezes" else 1.0)
            assert fake.keys("first", since) == {"k2", "k3"}  # what it has seen itself, and what it knew before
            assert fake.keys("second", since) == {"k1", "k2", "k3"}
        finally:
            await asyncio.to_thread(servers.redis.start if ending == "dies" else servers.redis.thaw)
        since = time.monotonic() + AGAIN
        await asyncio.sleep(AGAIN + 0.7)
        assert fake.keys("second", since) == {"k2", "k3"}  # told late, since it still holds
        await told(fake, "k2", {"k3"}, refused_for=60)
    assert went_well(done)

"""Two gateways that share Redis while both are busy: cooldowns, recoveries, and a Redis that exits, hangs and returns.

The upstream refuses a key only to the first gateway: the second one can avoid it only by what Redis has passed on. No request
may fail or wait because of Redis.
"""

import asyncio
import uuid
from contextlib import ExitStack, asynccontextmanager

import httpx
import pytest

from tests.e2e.test_sharing import WELL, with_keys
from tests.support import postgres, redis
from tests.support.fake_upstream import json_reply
from tests.support.gateway import Gateway
from tests.support.waiting import PATIENCE, eventually_async, expect_soon_async

WORKERS = 5
"""Requests at once for each gateway."""
WINDOW = 24
"""So many calls in a row show which keys a gateway uses: keys take turns, so this is several times their number."""
UNREACHABLE, REACHABLE = "Redis is unreachable", "Redis is reachable again"
KEYS = {"k0", "k1", "k2", "k3"}


class Servers:
    def __init__(self, first, second, store):
        self.first, self.second, self.redis = first, second, store


@pytest.fixture(scope="module")
def servers(postgres_server):
    with ExitStack() as running:
        store = running.enter_context(redis.running())
        shared = {
            "PXBIN_DATABASE_URL": running.enter_context(postgres.database(postgres_server)),
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
        self.calls = {"first": [], "second": []}
        """The key of each call, by the gateway that made it."""
        upstream.otherwise(self._answer)

    def _answer(self, request):
        key = request.header("authorization").removeprefix("Bearer ")
        gateway = request.json()["messages"][0]["content"].split()[0]
        self.calls[gateway].append(key)
        if gateway == "first" and key in self.refused:
            return json_reply({"error": {"message": "slow down"}}, status=429, headers={"retry-after": str(self.refused[key])})
        return WELL

    async def expect_keys(self, first, second):
        """Wait until the newest calls of each gateway, all of them made from now on, use exactly these keys."""
        counts_before = {name: len(calls) for name, calls in self.calls.items()}

        def newest():
            return [set(calls[counts_before[name] :][-WINDOW:]) for name, calls in self.calls.items()]

        await eventually_async(lambda: all(len(calls) >= counts_before[name] + WINDOW for name, calls in self.calls.items()))
        await expect_soon_async(newest, [first, second])


class Load:
    """What became of the requests: their statuses, and how many each worker has finished."""

    def __init__(self):
        self.statuses = set()
        self.finished = [0] * (2 * WORKERS)

    async def expect_progress(self, number=5):
        """Wait until every worker has finished so many requests more: none of them hangs."""
        counts_before = list(self.finished)
        await eventually_async(
            lambda: all(count >= count_before + number for count, count_before in zip(self.finished, counts_before, strict=True))
        )


@asynccontextmanager
async def load(servers, model):
    """Keep both gateways busy."""
    results, over = Load(), asyncio.Event()
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
    async with httpx.AsyncClient(timeout=PATIENCE, limits=limits) as http:

        async def ask(worker, name, gateway):
            while not over.is_set():
                body = {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": f"{name} {uuid.uuid4().hex}"}]}
                answer = await http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
                results.statuses.add(answer.status_code)
                results.finished[worker] += 1
                await asyncio.sleep(0.01)

        named = [("first", servers.first), ("second", servers.second)] * WORKERS
        workers = [asyncio.create_task(ask(number, *target)) for number, target in enumerate(named)]
        try:
            yield results
        finally:
            over.set()
            await asyncio.gather(*workers)


async def test_cooldowns_and_recoveries_under_load(servers, upstream):
    name, keys = with_keys(servers.first, upstream, 4, cooldown_seconds=60)
    fake = Upstream(upstream)
    async with load(servers, name) as results:
        await fake.expect_keys(KEYS, KEYS)
        fake.refused = {"k1": 4}
        await fake.expect_keys(KEYS - {"k1"}, KEYS - {"k1"})
        fake.refused = {}
        await fake.expect_keys(KEYS, KEYS)  # it has rested: one request tries it, then all use it
        fake.refused = {"k2": 600}
        await fake.expect_keys(KEYS - {"k2"}, KEYS - {"k2"})
        fake.refused = {}
        await asyncio.to_thread(servers.first.api, "PATCH", f"/credentials/{keys[2]}", json={"is_active": True})
        await fake.expect_keys(KEYS, KEYS)
    assert results.statuses == {200}


def reports(gateway, text):
    """How often a gateway has printed this."""
    return gateway.output.count(text)


@pytest.mark.parametrize("ending", ["dies", "freezes"])
async def test_without_redis_each_server_uses_its_own_state_and_reconnects_afterwards(servers, upstream, ending):
    name, _ = with_keys(servers.first, upstream, 4, cooldown_seconds=60)
    fake = Upstream(upstream)
    both_servers = (servers.first, servers.second)
    async with load(servers, name) as results:
        fake.refused = {"k0": 600}
        await fake.expect_keys(KEYS - {"k0"}, KEYS - {"k0"})
        before = [(reports(server, UNREACHABLE), reports(server, REACHABLE)) for server in both_servers]
        await asyncio.to_thread(servers.redis.kill if ending == "dies" else servers.redis.freeze)
        try:
            fake.refused = {"k1": 600}
            await eventually_async(
                lambda: all(reports(server, "Redis is unreachable") > away for server, (away, _) in zip(both_servers, before, strict=True))
            )
            await results.expect_progress()
            await fake.expect_keys({"k2", "k3"}, {"k1", "k2", "k3"})  # what each has seen itself, and what it knew before
        finally:
            await asyncio.to_thread(servers.redis.start if ending == "dies" else servers.redis.thaw)
        await eventually_async(
            lambda: all(reports(server, "Redis is reachable again") > back for server, (_, back) in zip(both_servers, before, strict=True))
        )
        await fake.expect_keys({"k2", "k3"}, {"k2", "k3"})  # the second one learns it late, since it still holds
        fake.refused = {"k2": 600}
        await fake.expect_keys({"k3"}, {"k3"})
    assert results.statuses == {200}

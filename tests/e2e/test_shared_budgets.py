"""Budgets and limits that two web processes share through Redis, which dies and comes back empty."""

import asyncio
from collections import Counter
from decimal import Decimal

import httpx
import pytest

from tests.e2e.test_budgets import ADMITTED, COST, REQUESTS, answer, body, budget_of, priced_model, spent
from tests.support.fake_upstream import HANG, Reply
from tests.support.gateway import Gateway, failed_start
from tests.support.redis import Server
from tests.support.waiting import PATIENCE, expect_soon

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def redis():
    server = Server()
    yield server
    server.stop()


@pytest.fixture(scope="module")
def gateway(redis):
    with Gateway.started(PXBIN_WEB_PROCESSES="2", PXBIN_REDIS_URL=redis.url, PXBIN_CB_FAILURE_THRESHOLD="100000") as running:
        yield running


async def ask_until_decided(gateway, key, model, number, *, seconds=0.0):
    """The statuses of so many requests, spread over a time; one that is answered with 503 is sent again, as Retry-After says."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=4 * PATIENCE, limits=limits) as http:

        async def status(index):
            await asyncio.sleep(seconds * index / number)
            while True:
                url = f"{gateway.url}/v1/chat/completions"
                response = await http.post(url, headers={"x-api-key": key}, json=body(model))
                if response.status_code != 503:
                    return response.status_code
                assert response.headers["retry-after"] == "5"

        return Counter(await asyncio.gather(*(status(index) for index in range(number))))


async def test_two_processes_admit_exactly_k_of_many_at_once(gateway, upstream):
    model = priced_model(gateway, upstream)
    key = gateway.api("POST", "/keys", json={"name": "shared", "budget_usd": str(COST * ADMITTED), "max_concurrency": REQUESTS})
    assert await ask_until_decided(gateway, key["key"], model, REQUESTS) == {200: ADMITTED, 402: REQUESTS - ADMITTED}
    assert len(upstream.requests) == ADMITTED
    await asyncio.to_thread(expect_soon, lambda: spent(gateway, budget_of(gateway, key["id"])), COST * ADMITTED)
    gateway.api("PATCH", f"/keys/{key['id']}", json={"budget_usd": str(COST * (ADMITTED + 3))})
    await asyncio.sleep(1.0)  # the other process reads the new amount within half a second
    assert await ask_until_decided(gateway, key["key"], model, 10) == {200: 3, 402: 7}  # nothing stayed reserved


async def test_exactly_k_are_admitted_while_redis_dies_and_comes_back_empty(gateway, redis, upstream):
    model = priced_model(gateway, upstream)
    key = gateway.api("POST", "/keys", json={"name": "outage", "budget_usd": str(COST * ADMITTED)})["key"]
    asking = asyncio.create_task(ask_until_decided(gateway, key, model, REQUESTS, seconds=4.0))
    await asyncio.sleep(0.2)
    await asyncio.to_thread(redis.kill)
    await asyncio.sleep(0.5)
    await asyncio.to_thread(redis.start)
    assert await asking == {200: ADMITTED, 402: REQUESTS - ADMITTED}
    assert len(upstream.requests) == ADMITTED


async def test_the_slots_of_clients_that_hang_up_are_free_again(gateway, upstream):
    model = priced_model(gateway, upstream)
    key = gateway.api("POST", "/keys", json={"name": "leavers", "budget_usd": str(COST * 6), "max_concurrency": 6})["key"]
    upstream.otherwise(lambda request: Reply(instead=HANG))
    async with httpx.AsyncClient(timeout=1.0) as http:

        async def hang_up():
            with pytest.raises(httpx.ReadTimeout):
                await http.post(f"{gateway.url}/v1/chat/completions", headers={"x-api-key": key}, json=body(model))

        await asyncio.gather(*(hang_up() for _ in range(6)))
    upstream.otherwise(answer)
    admitted = 0
    async with asyncio.timeout(PATIENCE):  # the gateway notices that a client has left a moment later
        while admitted < 6:
            admitted += (await ask_until_decided(gateway, key, model, 6 - admitted))[200]
    assert await ask_until_decided(gateway, key, model, 6) == {402: 6}


async def test_a_killed_process_gives_its_slots_back(redis, upstream):
    with Gateway.started(PXBIN_REDIS_URL=redis.url) as gateway:
        model = priced_model(gateway, upstream)
        key = gateway.api("POST", "/keys", json={"name": "killed", "budget_usd": str(COST), "max_concurrency": 1})["key"]
        upstream.otherwise(lambda request: Reply(instead=HANG))
        async with httpx.AsyncClient(timeout=PATIENCE) as http:
            url = f"{gateway.url}/v1/chat/completions"
            hanging = asyncio.create_task(http.post(url, headers={"x-api-key": key}, json=body(model)))
            await asyncio.to_thread(expect_soon, lambda: len(upstream.requests), 1)
            await asyncio.to_thread(gateway.kill)
            await asyncio.gather(hanging, return_exceptions=True)
        upstream.otherwise(answer)
        await asyncio.to_thread(gateway.restart)

        def status():
            return gateway.http.post(f"{gateway.url}/v1/chat/completions", headers={"x-api-key": key}, json=body(model)).status_code

        await asyncio.to_thread(expect_soon, status, 200, every=0.5)
        assert status() == 402


def test_limits_of_several_processes_without_redis_are_refused():
    with Gateway.started(PXBIN_WEB_PROCESSES="2") as gateway:
        for path, fields in (
            ("/keys", {"rate_limit": 5}),
            ("/keys", {"budget_usd": "1"}),
            ("/budgets", {"scope": "global", "amount_usd": "1"}),
            ("/key-defaults", {"max_concurrency": 1}),
        ):
            method = "PATCH" if path == "/key-defaults" else "POST"
            response = gateway.http.request(method, f"{gateway.url}/api/v1{path}", headers=gateway.management_headers, json=fields)
            assert (response.status_code, response.json()["error"]["type"]) == (409, "conflict"), path
            assert "PXBIN_REDIS_URL" in response.json()["error"]["message"]
        assert gateway.api("POST", "/keys", json={"name": "free"})["key"].startswith("pxb_")


def test_a_start_with_several_processes_and_limits_is_refused_without_redis():
    with Gateway.started() as gateway:
        gateway.api("POST", "/budgets", json={"scope": "global", "amount_usd": str(Decimal(5))})
        gateway.stop()
        status, message = failed_start(gateway.data_dir, PXBIN_WEB_PROCESSES="2")
        assert (status, "cannot count limits and budgets together" in message) == (1, True), message

"""Budgets and limits over real requests: what is admitted, what a refusal says, and that nothing stays reserved."""

import asyncio
from collections import Counter
from decimal import Decimal

import httpx
import pytest

from tests.support.fake_upstream import HANG, Reply, json_reply
from tests.support.gateway import Gateway
from tests.support.sizes import PROOF
from tests.support.waiting import PATIENCE, eventually, expect_soon

pytestmark = pytest.mark.e2e

REQUESTS, ADMITTED = (1000, 100) if PROOF else (120, 12)
OUTPUT = 10
"""Output tokens of each answer, which is also the limit of each request: it costs what was reserved."""
RATE = "1000"
"""USD per million output tokens; the input is free."""
COST = Decimal(RATE) * OUTPUT / 1_000_000


def answer(_request):
    usage = {"prompt_tokens": 5, "completion_tokens": OUTPUT, "total_tokens": 5 + OUTPUT}
    choices = [{"index": 0, "message": {"role": "assistant", "content": "Hi"}, "finish_reason": "length"}]
    return json_reply({"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": choices, "usage": usage}, before=0.05)


@pytest.fixture(scope="module")
def gateway():
    with Gateway.started(PXBIN_CB_FAILURE_THRESHOLD="100000") as running:
        yield running


@pytest.fixture
def model(gateway, upstream):
    """A model whose requests cost ``COST``."""
    return priced_model(gateway, upstream)


def priced_model(gateway, upstream):
    name = f"priced-{upstream.port}"
    upstream_id = gateway.add_upstream(upstream, name)
    gateway.api("POST", "/prices", json={"upstream_id": upstream_id, "remote_name": name, "input": "0", "output": RATE})
    upstream.otherwise(answer)
    return name


def body(model, **fields):
    return {"model": model, "max_tokens": OUTPUT, "messages": [{"role": "user", "content": "Hello"}], **fields}


def ask(gateway, key, model, path="/v1/chat/completions", **fields):
    return gateway.http.post(gateway.url + path, headers={"x-api-key": key}, json=body(model, **fields))


async def ask_often(gateway, key, model, number, **fields):
    """The statuses of so many requests at once."""
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=4 * PATIENCE, limits=limits) as http:

        async def status():
            url = f"{gateway.url}/v1/chat/completions"
            return (await http.post(url, headers={"x-api-key": key}, json=body(model, **fields))).status_code

        return Counter(await asyncio.gather(*(status() for _ in range(number))))


def spent(gateway, budget_id):
    return Decimal(gateway.api("GET", f"/budgets/{budget_id}")["spent_usd"])


def budget_of(gateway, key_id):
    return next(budget["id"] for budget in gateway.api("GET", "/budgets", params={"per_page": "1000"}) if budget["key_id"] == key_id)


async def test_a_budget_for_k_requests_admits_exactly_k_of_many_at_once(gateway, model, upstream):
    key = gateway.api("POST", "/keys", json={"name": "parallel", "budget_usd": str(COST * ADMITTED), "max_concurrency": REQUESTS})
    assert await ask_often(gateway, key["key"], model, REQUESTS) == {200: ADMITTED, 402: REQUESTS - ADMITTED}
    assert len(upstream.requests) == ADMITTED
    await asyncio.to_thread(expect_soon, lambda: spent(gateway, budget_of(gateway, key["id"])), COST * ADMITTED)
    assert ask(gateway, key["key"], model).status_code == 402
    gateway.api("PATCH", f"/keys/{key['id']}", json={"budget_usd": str(COST * (ADMITTED + 1))})
    assert await ask_often(gateway, key["key"], model, 5) == {200: 1, 402: 4}  # nothing stayed reserved


async def test_clients_that_hang_up_give_back_what_they_do_not_use(gateway, model, upstream):
    key = gateway.api("POST", "/keys", json={"name": "leavers", "budget_usd": str(COST * 3), "max_concurrency": 3})
    upstream.otherwise(lambda request: Reply(instead=HANG))
    async with httpx.AsyncClient(timeout=1.0) as http:

        async def hang_up():
            with pytest.raises(httpx.ReadTimeout):
                await http.post(f"{gateway.url}/v1/chat/completions", headers={"x-api-key": key["key"]}, json=body(model))

        await asyncio.gather(*(hang_up() for _ in range(3)))
    upstream.otherwise(answer)
    rows = await asyncio.to_thread(gateway.logs, 3, model=model)
    assert {(row["outcome"], row["cost_usd"], row["usage_source"]) for row in rows} == {("cancelled", "0", "estimated")}  # free input
    assert await ask_often(gateway, key["key"], model, 3) == {200: 3}
    assert await ask_often(gateway, key["key"], model, 3) == {402: 3}


@pytest.mark.parametrize(
    ("path", "error"),
    [
        ("/v1/messages", {"type": "billing_error"}),
        ("/v1/chat/completions", {"type": "insufficient_quota", "code": "insufficient_quota", "param": None}),
        ("/v1/responses", {"type": "insufficient_quota", "code": "insufficient_quota", "param": None}),
    ],
)
def test_a_refusal_says_in_the_clients_dialect_which_budget_is_used_up_and_when_it_resets(gateway, model, path, error):
    key = gateway.api("POST", "/keys", json={"name": "poor", "budget_usd": "0.000001", "budget_period": "daily"})["key"]
    response = ask(gateway, key, model, path, **({"input": "Hello", "messages": None} if path == "/v1/responses" else {}))
    shown = response.json()["error"]
    reset = response.headers["x-pxbin-budget-reset"]
    message = f"The daily budget of key poor is used up, or has no room for this request; it resets at {reset}"
    assert (response.status_code, {name: shown.get(name) for name in error}, shown["message"]) == (402, error, message)
    assert (response.headers["x-should-retry"], response.headers["x-pxbin-budget"]) == ("false", "key poor, daily")
    assert reset.endswith("T00:00:00Z")
    row = gateway.row_of(response.headers.get("x-request-id") or response.headers["request-id"])
    assert (row["outcome"], row["status_code"], row["error_type"], row["attempts"]) == ("rejected", 402, "budget", 0)


def test_all_budgets_of_a_request_must_admit_it(gateway, model):
    keys = [gateway.api("POST", "/keys", json={"name": name, "owner": "team", "pools": ["p"]})["key"] for name in ("a", "b")]
    owner = gateway.api("POST", "/budgets", json={"scope": "owner", "owner": "team", "amount_usd": str(COST * 2), "mode": "soft"})
    gateway.api("POST", "/budgets", json={"scope": "pool", "pool": "p", "amount_usd": str(COST * 3), "period": "monthly"})
    assert [ask(gateway, key, model).status_code for key in keys * 2] == [200, 200, 200, 402]
    assert ask(gateway, keys[0], model).headers["x-pxbin-budget"] == "pool p, monthly"
    expect_soon(lambda: spent(gateway, owner["id"]), COST * 3)


def test_a_new_budget_counts_what_was_spent_before(gateway, model):
    key = gateway.api("POST", "/keys", json={"name": "late"})
    assert ask(gateway, key["key"], model).status_code == 200
    gateway.api("POST", "/budgets", json={"scope": "key", "key_id": key["id"], "amount_usd": str(COST * 2)})
    assert [ask(gateway, key["key"], model).status_code for _ in range(3)] == [200, 402, 402]


def test_what_was_spent_outlives_a_killed_gateway(upstream):
    with Gateway.started() as gateway:
        model = priced_model(gateway, upstream)
        key = gateway.api("POST", "/keys", json={"name": "survivor", "budget_usd": str(COST * 3)})
        assert [ask(gateway, key["key"], model).status_code for _ in range(2)] == [200, 200]
        gateway.kill()
        gateway.restart()
        assert [ask(gateway, key["key"], model).status_code for _ in range(3)] == [200, 402, 402]


def test_a_model_without_a_price_is_refused_under_a_hard_budget_only(gateway, upstream):
    name = f"unpriced-{upstream.port}"
    gateway.add_upstream(upstream, name)
    upstream.otherwise(answer)
    keys = [gateway.api("POST", "/keys", json={"budget_usd": "5", "budget_mode": mode, "name": mode})["key"] for mode in ("hard", "soft")]
    hard, soft = (ask(gateway, key, name) for key in keys)
    assert (hard.status_code, soft.status_code) == (402, 200)
    expected = "The model has no price, and the budget of key hard admits only requests whose cost can be estimated"
    assert hard.json()["error"]["message"] == expected


def test_a_success_tells_what_is_left_of_the_limits_by_the_minute(gateway, model):
    key = gateway.api("POST", "/keys", json={"name": "headers", "rate_limit": 2, "tokens_per_minute": 10000})["key"]
    chat, messages = ask(gateway, key, model), ask(gateway, key, model, "/v1/messages")
    shown = {name: value for name, value in chat.headers.items() if name.startswith("x-ratelimit-")}
    tokens = int(shown.pop("x-ratelimit-remaining-tokens"))
    assert 9900 < tokens < 10000
    assert shown == {
        "x-ratelimit-limit-requests": "2", "x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "30s",
        "x-ratelimit-limit-tokens": "10000", "x-ratelimit-reset-tokens": shown["x-ratelimit-reset-tokens"],
    }  # fmt: skip
    assert (messages.headers["anthropic-ratelimit-requests-limit"], messages.headers["anthropic-ratelimit-requests-remaining"]) == (
        "2",
        "0",
    )
    refused = ask(gateway, key, model)
    assert (refused.status_code, refused.headers["x-ratelimit-remaining-requests"]) == (429, "0")
    assert 0 < int(refused.headers["retry-after"]) <= 30


async def test_a_key_has_no_more_requests_running_than_it_may(gateway, model):
    key = gateway.api("POST", "/keys", json={"name": "narrow", "max_concurrency": 4})["key"]
    statuses = await ask_often(gateway, key, model, 40)
    assert statuses[200] >= 4
    assert statuses[429] == 40 - statuses[200] > 0
    assert await ask_often(gateway, key, model, 4) == {200: 4}


def test_new_keys_have_the_default_limits_unless_they_name_others(gateway, model):
    gateway.api("PATCH", "/key-defaults", json={"rate_limit": 1, "budget_usd": "7.5", "budget_period": "weekly"})
    try:
        names = ("rate_limit", "budget_usd", "budget_period")
        made = [
            gateway.api("POST", "/keys", json=fields)["id"]
            for fields in ({}, {"rate_limit": None, "budget_usd": None}, {"budget_usd": "1"})
        ]
        shown = [tuple(gateway.api("GET", f"/keys/{key_id}")[name] for name in names) for key_id in made]
        assert shown == [(1, "7.5", "weekly"), (None, None, None), (1, "1", "total")]
    finally:
        gateway.api("PATCH", "/key-defaults", json={"rate_limit": None, "budget_usd": None})
    assert eventually(lambda: gateway.api("GET", "/key-defaults"))["rate_limit"] is None

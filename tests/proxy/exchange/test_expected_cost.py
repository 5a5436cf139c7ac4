from decimal import Decimal

import pytest

from billing.pricing import price_book
from billing.pricing.price_book import PriceBook, Version
from billing.rates import make_prices
from proxy.exchange.expected_cost import expected_cost, input_tokens, output_limit
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.request_context import RequestContext
from proxy.translation.dialects.registry import REGISTRY
from tests.support.settings import with_config
from upstreams.catalog.entries import ModelEntry, RouteEntry, UpstreamEntry
from upstreams.routing.plan import Target

DOLLAR = 10**12
MESSAGES = '"messages": [{"role": "user", "content": "Hi"}]'
RATES = {
    "a": {"input": "1", "cache_write_1h": "2", "output": "10"},
    "b": {"input": "3", "output": "4"},
    "free": {"input": "0", "output": "0"},
}


@pytest.fixture(autouse=True)
def prices(monkeypatch):
    tiers = {"service": {"priority": {"output": "20"}}}
    listed = {
        ("", "", name): (Version(0, float("inf"), make_prices({rate: Decimal(text) for rate, text in rates.items()}, tiers)),)
        for name, rates in RATES.items()
    }
    monkeypatch.setattr(price_book, "_book", PriceBook({}, listed))


def context_of(body, dialect="anthropic"):
    body = body.encode()
    chosen = REGISTRY[dialect]
    http = HttpRequest(method="POST", path="/", body=body)
    return RequestContext(http, chosen, chosen.open_request(body), identity="0" * 24, created=0, seal_key=b"k")


def target(name, **fields):
    upstream = UpstreamEntry(id="u", name="u", base_url="http://x", dialect="anthropic")
    model = ModelEntry(id="m", name="m", **fields)
    return Target(
        model=model,
        route=RouteEntry(id="r", upstream=upstream),
        upstream=upstream,
        credential=None,
        remote_name=name,
        quirks=upstream.quirks,
    )


def cost_of(body, *names, generates=True, tokens=1_000_000, dialect="anthropic", **fields):
    context = context_of(f"{body[:-1]}, {MESSAGES}}}", dialect)
    cost = expected_cost(context, [target(name, **fields) for name in names], tokens, generates=generates)
    return None if cost is None else Decimal(cost) / DOLLAR


def test_the_input_costs_its_dearest_rate_and_the_output_its_limit():
    assert cost_of('{"model": "m", "max_tokens": 100000}', "a") == 2 + 1
    assert cost_of('{"model": "m", "max_tokens": 100000}', "a", generates=False) == 2


def test_the_dearest_candidate_counts():
    assert cost_of('{"model": "m", "max_tokens": 100000}', "a", "b", "free") == Decimal("3.4")
    assert cost_of('{"model": "m", "max_tokens": 100000}', "free") == 0


def test_a_candidate_without_a_price_makes_the_cost_unknown():
    assert cost_of('{"model": "m", "max_tokens": 100000}', "a", "unknown") is None


def test_each_choice_costs_an_output():
    assert cost_of('{"model": "m", "max_completion_tokens": 100000, "n": 3}', "b", dialect="openai_chat") == 3 + Decimal("1.2")


def test_a_dearer_service_tier_counts_if_the_request_asks_for_it():
    assert cost_of('{"model": "m", "max_tokens": 100000, "service_tier": "priority"}', "a") == 2 + 2
    assert cost_of('{"model": "m", "max_tokens": 100000, "speed": "fast"}', "a") is None


@pytest.mark.parametrize(
    ("fields", "stated", "expected"),
    [
        ({}, 50, 50),
        ({"max_tokens_cap": 20}, 50, 20),
        ({"max_output_tokens": 30}, 50, 30),
        ({"max_output_tokens": 30}, None, 30),
        ({"max_tokens_default": 7, "max_output_tokens": 30}, None, 7),
        ({}, None, 4321),
    ],
)
def test_the_output_limit(fields, stated, expected):
    with with_config(default_max_output_tokens=4321):
        assert output_limit(ModelEntry(id="m", name="m", **fields), stated) == expected


def test_media_are_not_counted_by_their_bytes():
    image = f'{{"type": "image", "source": {{"type": "base64", "media_type": "image/png", "data": "{"A" * 400_000}"}}}}'
    assert input_tokens(context_of(f'{{"model": "m", "max_tokens": 1, "messages": [{{"role": "user", "content": [{image}]}}]}}')) < 10_000
    assert input_tokens(context_of('{"model": "m", "max_tokens": 1, "messages": [{"role": "user", "content": "Hi"}]}')) == 20

"""The output limit and the number of responses that a request states, wherever its dialect has them."""

import json

import pytest

from billing.pricing import price_book
from billing.rates import Prices
from proxy.exchange import expected_cost as module
from proxy.exchange.expected_cost import expected_cost
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.request_context import RequestContext
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.quirks import DEFAULT
from upstreams.catalog.entries import ModelEntry, RouteEntry, UpstreamEntry
from upstreams.routing.plan import Target

HI = [{"role": "user", "parts": [{"text": "Hi"}]}]
TURNS = [{"role": "user", "content": [{"text": "Hi"}]}]


class Book:
    """A price book in which every model has a price."""

    def find(self, _key: object) -> Prices:
        return Prices(schedule={})


@pytest.mark.parametrize(
    ("dialect", "body", "output"),
    [
        ("gemini", {"contents": HI, "generationConfig": {"maxOutputTokens": 50_000}}, 50_000),
        ("gemini", {"contents": HI, "generationConfig": {"maxOutputTokens": 50, "candidateCount": 3}}, 150),
        ("bedrock_converse", {"messages": TURNS, "inferenceConfig": {"maxTokens": 70}}, 70),
        ("openai_chat", {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "max_tokens": 9, "n": 2}, 18),
    ],
)
def test_the_stated_limit_counts(monkeypatch, dialect, body, output):
    counted = []
    monkeypatch.setattr(price_book, "current", Book)
    monkeypatch.setattr(module, "_cost", lambda _prices, _tokens, tokens, _tier: counted.append(tokens) or 0)
    speaks = REGISTRY[dialect]
    raw = json.dumps(body).encode()
    envelope = speaks.open_for_model(raw, "m")
    http = HttpRequest(method="POST", path="/", body=raw)
    context = RequestContext(http, speaks, envelope, identity="0" * 24, created=0, seal_key=b"k" * 32)
    route = RouteEntry(id="r", upstream=UpstreamEntry(id="u", name="u", base_url="http://x", dialect="openai_chat"), remote_name="m")
    target = Target(
        model=ModelEntry(id="m", name="m", routes=(route,)),
        route=route,
        upstream=route.upstream,
        remote_name="m",
        credential=None,
        quirks=DEFAULT,
    )
    expected_cost(context, [target], 1, generates=True)
    assert counted == [output]

"""Which provider a place belongs to, and the prices that need no data."""

from decimal import Decimal

import pytest

from billing.pricing.sources import Place, look_up_echo, look_up_listed_price, provider_of
from proxy.translation.dialects.upstream_api import read_model_page
from upstreams.presets import PRESETS


@pytest.mark.parametrize(
    ("place", "provider"),
    [
        (Place("openrouter", "http://127.0.0.1:9/v1"), "openrouter"),
        (Place("openai", "https://api.anthropic.com"), "openai"),
        (Place("", "https://api.anthropic.com"), "anthropic"),
        (Place("", "https://bedrock-runtime.eu-west-1.amazonaws.com"), "aws"),
        (Place("", "https://me.openai.azure.com/openai/v1"), "azure"),
        (Place("openai-compatible", "https://api.groq.com/openai/v1"), "groq"),
        (Place("vllm", "http://10.0.0.1:8000/v1"), None),
        (Place("", "http://127.0.0.1:9/https://api.openai.com"), None),
        (Place("", "echo://openai"), None),
        (Place(), None),
    ],
)
def test_the_provider_is_the_presets_or_else_that_of_the_host(place, provider):
    assert provider_of(place) == provider


def test_the_presets_of_vendors_have_a_provider_and_those_of_own_servers_have_none():
    providers = {name: provider_of(Place(name)) for name in PRESETS}
    assert {name: provider for name, provider in providers.items() if name != provider} == {
        "openai-responses": "openai",
        "anthropic-claude-cli": "anthropic",
        "azure-openai": "azure",
        "bedrock": "aws",
        "deepseek-anthropic": "deepseek",
        "moonshot": "moonshotai",
        "moonshot-anthropic": "moonshotai",
        "zai-anthropic": "zai",
        "xai": "x-ai",
        "bedrock-converse": "aws",
        "gemini": "google",
        "gemini-native": "google",
        **dict.fromkeys(("vllm", "ollama", "llamacpp", "lmstudio", "anthropic-compatible", "openai-compatible")),
    }


def test_the_echo_is_free():
    price = look_up_echo("anything", Place("", "echo://anthropic"))
    assert (price.rates, price.source) == ({"input": 0, "output": 0}, "built-in")
    assert look_up_echo("echo", Place("", "https://echo.example")) is None


PRICING = {
    "prompt": "0.000003",
    "completion": "0.000015",
    "request": "0",
    "image": "0.0048",
    "web_search": "0.01",
    "input_cache_read": "0.0000003",
    "input_cache_write": "0.00000375",
    "input_cache_write_1h": "0.000006",
    "audio": "0.000032",
    "discount": 0,
}


def listed(pricing):
    page = read_model_page({"data": [{"id": "m", "pricing": pricing}]})
    return look_up_listed_price("m", Place("openrouter", "https://openrouter.ai/api/v1", page.models[0].pricing))


def test_the_price_in_a_model_list_is_read():
    price = listed(PRICING)
    assert (price.source, price.tiers) == ("upstream", {})
    assert price.rates == {
        "input": 3,
        "output": 15,
        "cache_read": Decimal("0.3"),
        "cache_write_5m": Decimal("3.75"),
        "cache_write_1h": 6,
        "input_audio": 32,
        "web_search": 10,
    }


def test_zero_in_a_list_is_free_and_minus_one_unknown():
    assert listed({"prompt": "0", "completion": "0"}).rates == {"input": 0, "output": 0}
    assert listed({"prompt": "-1", "completion": "-1"}) is None


@pytest.mark.parametrize(
    "pricing",
    [
        None,
        {},
        [],
        "0.1",
        {"prompt": "cheap"},
        {"prompt": None, "completion": True},
        {"prompt": "2"},
        {**PRICING, "request": "0.01"},
        {**PRICING, "overrides": [{"prompt": "0.000006"}]},
    ],
)
def test_a_price_that_is_not_rates_of_tokens_alone_is_left_to_other_sources(pricing):
    assert listed(pricing) is None

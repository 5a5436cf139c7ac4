"""The prices that genai-prices bundles."""

from decimal import Decimal

import pytest

from billing import rates
from billing.pricing.genai import look_up_genai_price
from billing.pricing.sources import Place

SONNET = {
    "rates": {
        "input": Decimal(3),
        "output": Decimal(15),
        "cache_read": Decimal("0.3"),
        "cache_write_5m": Decimal("3.75"),
        "cache_write_1h": Decimal(6),
        "web_search": Decimal(10),
    },
    "tiers": {
        "prompt": [{"above": 200000, "input": "6", "output": "22.5", "cache_read": "0.6", "cache_write_5m": "7.5", "cache_write_1h": "12"}]
    },
}


UNKNOWN = Place("", "http://127.0.0.1:9/v1")


def test_they_have_every_class_and_the_long_prompts():
    match = look_up_genai_price("claude-sonnet-4-5-20250929", Place("", "https://api.anthropic.com"))
    assert {"rates": match.rates, "tiers": {"prompt": match.tiers["prompt"]}} == SONNET
    assert (match.source, match.version.split()[0]) == ("genai-prices", "genai-prices")
    rates.read_tiers(match.tiers)


def test_they_have_service_tiers_and_the_fast_mode():
    tiers = look_up_genai_price("gpt-5", Place("openai")).tiers["service"]
    assert {name: tiers[name]["input"] for name in ("flex", "priority", "batch", "fast")} == {
        "flex": "0.625",
        "priority": "2.5",
        "batch": "0.625",
        "fast": "2.5",
    }


def test_they_have_audio_images_and_searches():
    audio, image = look_up_genai_price("gpt-audio", Place("openai")).rates, look_up_genai_price("gpt-image-1.5", Place("openai")).rates
    assert audio == {"input": Decimal("2.5"), "output": Decimal(10), "input_audio": Decimal(32), "output_audio": Decimal(64)}
    assert (image["input_image"], image["output_image"]) == (8, 32)
    assert look_up_genai_price("claude-opus-4-6", Place("anthropic")).rates["web_search"] == 10


def test_those_of_another_provider_are_not_taken_where_the_provider_is_known():
    assert look_up_genai_price("claude-sonnet-4-5", Place("groq")) is None
    assert look_up_genai_price("claude-sonnet-4-5", Place("", "https://api.groq.com/openai/v1")) is None
    assert look_up_genai_price("claude-sonnet-4-5", Place("openai", "https://api.anthropic.com")) is None


def test_the_preset_names_the_provider_whatever_the_address():
    by_preset = look_up_genai_price("anthropic/claude-sonnet-4.5", Place("openrouter", "http://127.0.0.1:9/v1"))
    assert by_preset == look_up_genai_price("anthropic/claude-sonnet-4.5", Place("", "https://openrouter.ai/api/v1"))
    assert by_preset.rates["input"] == 3


def test_of_an_unknown_provider_the_price_is_the_makers():
    makers = look_up_genai_price("claude-sonnet-4-5", Place("anthropic"))
    assert look_up_genai_price("claude-sonnet-4-5", UNKNOWN) == makers
    assert look_up_genai_price("claude-sonnet-4-5", Place("openai-compatible", UNKNOWN.base_url)) == makers


@pytest.mark.parametrize("name", ["test-model", "echo", "m1", "", "no/such", "my/claude-sonnet-4-5"])
def test_a_name_is_never_guessed(name):
    assert look_up_genai_price(name, UNKNOWN) is None

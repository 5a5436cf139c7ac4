"""Price files in LiteLLM's format."""

import json
from decimal import Decimal

import pytest

from billing import rates
from billing.pricing.litellm import litellm_source
from billing.pricing.sources import Place

CONTENT = json.dumps(
    {
        "sample_spec": {"input_cost_per_token": 1, "output_cost_per_token": 1},
        "fallback_generalizations": {"input_cost_per_token": 1},
        "m": {
            "mode": "responses",
            "input_cost_per_token": 3e-06,
            "output_cost_per_token": 1.5e-05,
            "cache_read_input_token_cost": 3e-07,
            "cache_creation_input_token_cost": 3.75e-06,
            "cache_creation_input_token_cost_above_1hr": 6e-06,
            "input_cost_per_token_above_200k_tokens": 6e-06,
            "output_cost_per_token_above_200k_tokens": 2.25e-05,
            "input_cost_per_token_flex": 1.5e-06,
            "input_cost_per_token_batches": 1e-06,
            "max_input_tokens": 200000,
            "supports_vision": True,
        },
        "free": {"mode": "chat", "input_cost_per_token": 0, "output_cost_per_token": 0},
        "odd": {"input_cost_per_token": "cheap", "output_cost_per_token": -1},
        "embedding": {"mode": "embedding", "input_cost_per_token": 1e-07, "output_cost_per_token": 0.0},
        "note": "not a model",
    }
).encode()


NOWHERE = Place()


def test_a_file_is_read():
    look_up = litellm_source(CONTENT, version="of May")
    match = look_up("m", NOWHERE)
    expected = {"input": 3, "output": 15, "cache_read": Decimal("0.3"), "cache_write_5m": Decimal("3.75"), "cache_write_1h": 6}
    assert (match.rates, match.source, match.version) == (expected, "litellm", "of May")
    prompt, service = rates.read_tiers(match.tiers)
    assert prompt == [(200_000, {"input": Decimal(6), "output": Decimal("22.5")})]
    assert service == {"flex": ({"input": Decimal("1.5")}, []), "batch": ({"input": Decimal(1)}, [])}
    assert look_up("embedding", NOWHERE).rates == {"input": Decimal("0.1"), "output": 0}
    assert [look_up(name, NOWHERE) for name in ("sample_spec", "fallback_generalizations", "free", "odd", "note", "M", "")] == [None] * 7


def priced(**fields):
    entry = {"input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06, **fields}
    return litellm_source(json.dumps({"m": entry}).encode(), version="1")("m", NOWHERE)


def test_audio_images_and_searches_are_read():
    match = priced(
        input_cost_per_audio_token=4e-05,
        output_cost_per_audio_token=8e-05,
        input_cost_per_image_token=5e-06,
        output_cost_per_image_token=4e-05,
        search_context_cost_per_query={"search_context_size_low": 0.01, "search_context_size_high": 0.01},
    )
    assert match.rates == {
        "input": 1,
        "output": 2,
        "input_audio": 40,
        "output_audio": 80,
        "input_image": 5,
        "output_image": 40,
        "web_search": 10,
    }


def test_searches_whose_cost_depends_on_their_context_have_none():
    assert (
        "web_search" not in priced(search_context_cost_per_query={"search_context_size_low": 0.03, "search_context_size_high": 0.05}).rates
    )


def test_tiers_of_long_prompts_in_a_service_tier_are_read():
    match = priced(
        input_cost_per_token_priority=2e-06,
        input_cost_per_token_above_272k_tokens=3e-06,
        input_cost_per_token_above_272k_tokens_priority=6e-06,
    )
    assert match.tiers == {
        "prompt": [{"above": 272000, "input": "3"}],
        "service": {"priority": {"input": "2", "prompt": [{"above": 272000, "input": "6"}]}},
    }


def test_the_fast_mode_and_geographies_are_factors_of_all_rates():
    match = priced(input_cost_per_token_above_200k_tokens=2e-06, provider_specific_entry={"fast": 6.0, "us": 1.1, "free_images": 3})
    assert match.tiers == {
        "prompt": [{"above": 200000, "input": "2"}],
        "service": {"fast": {"input": "6", "output": "12", "prompt": [{"above": 200000, "input": "12"}]}},
        "geo": {"us": "1.1"},
    }


@pytest.mark.parametrize(
    ("name", "place", "rate"),
    [
        ("gpt", Place("openai"), 1),
        ("gpt", Place("azure-openai"), 2),
        ("gpt", Place("", "https://x.openai.azure.com/openai/v1"), 2),
        ("gpt", Place("groq"), None),
        ("gpt", Place("", "http://127.0.0.1:9/v1"), 1),
        ("azure/gpt", Place("", "http://127.0.0.1:9/v1"), 2),
        ("llama", Place("groq"), 3),
        ("llama", Place("", "http://127.0.0.1:9/v1"), None),
        ("gp", Place("openai"), None),
        ("gpt-2026", Place("openai"), None),
    ],
)
def test_a_model_is_found_by_its_exact_name_at_its_provider(name, place, rate):
    entries = {
        "gpt": {"litellm_provider": "openai", "input_cost_per_token": 1e-06},
        "azure/gpt": {"litellm_provider": "azure", "input_cost_per_token": 2e-06},
        "groq/llama": {"litellm_provider": "groq", "input_cost_per_token": 3e-06},
    }
    match = litellm_source(json.dumps(entries).encode(), version="1")(name, place)
    assert (match and match.rates["input"]) == rate


@pytest.mark.parametrize("content", [b"", b"[]", b"<html>"])
def test_what_is_no_price_file_is_refused(content):
    with pytest.raises(ValueError, match=r"^not a price file"):
        litellm_source(content, version="x")

"""Golden costs: what the gateway reads, looks up and computes, compared with a second implementation (`vectors`)."""

import json
from decimal import Decimal

import msgspec
import pytest

from billing import rates
from billing.money import to_pico
from billing.pricing.genai import look_up_genai_price
from billing.pricing.sources import Place
from billing.request_log.entry import cost_in_pico
from proxy.translation.dialects.registry import REGISTRY
from proxy.translation.quirks import Quirks
from proxy.translation.untranslated.usage_tap import UsageTap
from tests.billing.golden import vectors

PRESETS = {
    "x-ai": "xai",
    "google": "gemini",
    "aws": "bedrock",
    "azure": "azure-openai",
    "moonshotai": "moonshot",
}
"""The preset of a provider, where it has another name."""
VECTORS = json.loads((vectors.FOLDER / "vectors.json").read_text())


MODELS = sorted({(vector["provider"], vector["model"]) for vector in VECTORS})


def prices_of(provider: str, model: str) -> rates.Prices | None:
    if (provider, model) not in MODELS:
        return None
    listed = look_up_genai_price(model, Place(PRESETS.get(provider, provider)))
    return None if listed is None else rates.make_prices(listed.rates, listed.tiers)


def test_there_are_hundreds_and_the_script_makes_them():
    assert len(VECTORS) >= 300
    assert (vectors.FOLDER / "vectors.json").read_text() == vectors.text()
    assert {vector["cost"] is None for vector in VECTORS} == {True, False}


@pytest.mark.parametrize(("provider", "model"), MODELS)
def test_every_usage_costs_what_the_table_says(provider, model):
    prices = prices_of(provider, model)
    expected, actual = {}, {}
    for vector in VECTORS:
        if (vector["provider"], vector["model"]) != (provider, model):
            continue
        tap = UsageTap()
        tap.whole(json.dumps({"usage": vector["usage"]}).encode())
        name, cost = vector["name"], vector["cost"]
        expected[name] = None if cost is None else to_pico(Decimal(cost))
        actual[name] = cost_in_pico(tap.usage, prices, lambda other: prices_of(provider, other))
    assert actual == expected


MESSAGE = {"type": "message", "id": "m", "model": "m", "role": "assistant", "content": [], "stop_reason": "end_turn"}
CHAT = {"id": "c", "choices": [{"index": 0, "message": {"role": "assistant", "content": "x"}, "finish_reason": "stop"}]}


@pytest.mark.parametrize(
    "vector", [vector for vector in VECTORS if vector["model"] in ("claude-sonnet-4-5", "gpt-5.4")], ids=lambda vector: vector["name"]
)
def test_translated_responses_are_read_like_untranslated_ones(vector):
    usage = vector["usage"]
    body = {**MESSAGE, "usage": usage} if "input_tokens" in usage else {**CHAT, "usage": usage, "service_tier": usage.get("service_tier")}
    dialect = REGISTRY["anthropic" if "input_tokens" in usage else "openai_chat"]
    tap = UsageTap()
    tap.whole(json.dumps(body).encode())
    translated = dialect.decode_response(json.dumps(body).encode(), Quirks()).usage
    assert msgspec.structs.replace(translated, native={}) == tap.usage

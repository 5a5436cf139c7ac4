"""Prices from a file in the format of LiteLLM's price file: a JSON object of models by name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import msgspec

from billing.models import Price
from billing.pricing.sources import ListedPrice, Place, PriceSource, provider_of

CLASSES: Mapping[str, str] = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "input_cost_per_audio_token": "input_audio",
    "output_cost_per_audio_token": "output_audio",
    "input_cost_per_image_token": "input_image",
    "output_cost_per_image_token": "output_image",
}
TIERS: Mapping[str, str] = {"_flex": "flex", "_priority": "priority", "_batches": "batch"}
"""Service tiers by the end of a field's name."""
PROVIDERS: Mapping[str, tuple[str, ...]] = {
    "openai": ("openai", "text-completion-openai"),
    "azure": ("azure", "azure_ai"),
    "aws": ("bedrock", "bedrock_converse"),
    "google": ("gemini",),
    "moonshotai": ("moonshot",),
    "x-ai": ("xai",),
    "together": ("together_ai",),
    "fireworks": ("fireworks_ai",),
}
"""The file's names of providers by those of `sources.provider_of`, where they differ."""
MULTIPLIERS = "provider_specific_entry"
"""Factors of all rates: of the fast mode (`fast`), and by inference geography (`us`)."""
SEARCHES = "search_context_cost_per_query"
_ABOVE = re.compile(r"(.+)_above_(\d+)k_tokens")
_GEOGRAPHY = re.compile(r"[a-z]{2,3}")
_NOT_MODELS = frozenset({"sample_spec", "fallback_generalizations"})
_PER_MILLION = 1_000_000


def litellm_source(content: bytes, *, version: str) -> PriceSource:
    """Make a source of the content of a price file; entries without an input or output price are ignored.

    A model of a known provider is found by its own name or by `<provider>/<name>`, among the entries of that provider; one of an
    unknown provider by its exact name. Raises ValueError if the content is not a JSON object.
    """
    try:
        entries = msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"not a price file: {error}") from error
    listed: dict[str, tuple[str | None, ListedPrice]] = {}
    for name, entry in entries.items():
        if name not in _NOT_MODELS and isinstance(entry, dict) and (price := _read_price(entry, version)):
            listed[name] = (entry.get("litellm_provider"), price)

    def look_up(name: str, place: Place) -> ListedPrice | None:
        provider = provider_of(place)
        if provider is None:
            return listed[name][1] if name in listed else None
        names = PROVIDERS.get(provider, (provider,))
        for key in (name, *(f"{own}/{name}" for own in names)):
            if key in listed and listed[key][0] in (*names, None):
                return listed[key][1]
        return None

    return look_up


def _read_price(entry: dict[str, Any], version: str) -> ListedPrice | None:
    rates: dict[str, Decimal] = {}
    prompt: dict[int, dict[str, Any]] = {}
    service: dict[str, dict[str, Any]] = {}
    service_prompt: dict[str, dict[int, dict[str, Any]]] = {}
    for key, value in entry.items():
        field = _field(key)
        if field is None or type(value) not in (int, float) or value < 0:
            continue
        name, above, tier = field
        rate = Decimal(str(value)) * _PER_MILLION
        if tier is None and above is None:
            rates[name] = rate
        elif tier is None:
            prompt.setdefault(above or 0, {"above": above})[name] = _text(rate)
        elif above is None:
            service.setdefault(tier, {})[name] = _text(rate)
        else:
            service_prompt.setdefault(tier, {}).setdefault(above, {"above": above})[name] = _text(rate)
    if not rates.get("input") and not rates.get("output"):
        return None
    for tier, steps in service_prompt.items():
        service.setdefault(tier, {})["prompt"] = _ascending(steps)
    if (search := _search_rate(entry.get(SEARCHES))) is not None:
        rates["web_search"] = search
    geo = _multipliers(entry, rates, prompt, service)
    tiers = {
        **({"prompt": _ascending(prompt)} if prompt else {}),
        **({"service": service} if service else {}),
        **({"geo": geo} if geo else {}),
    }
    return ListedPrice(rates=rates, tiers=tiers, source=Price.Source.LITELLM, version=version)


def _field(key: str) -> tuple[str, int | None, str | None] | None:
    """The class, the prompt length and the service tier that a field's name says; `None` for other fields."""
    ending = next((ending for ending in TIERS if key.endswith(ending)), None)
    base, above = key.removesuffix(ending) if ending else key, None
    if base not in CLASSES and (parts := _ABOVE.fullmatch(base)):
        base, above = parts[1], int(parts[2]) * 1000
    name = CLASSES.get(base)
    return None if name is None else (name, above, TIERS[ending] if ending else None)


def _search_rate(value: Any) -> Decimal | None:
    """USD per thousand searches, if a search costs the same for every size of its context."""
    costs = {cost for cost in value.values() if type(cost) in (int, float) and cost >= 0} if isinstance(value, dict) else set()
    return Decimal(str(costs.pop())) * 1000 if len(costs) == 1 else None


def _multipliers(entry: dict[str, Any], rates: dict[str, Decimal], prompt: dict[int, Any], service: dict[str, Any]) -> dict[str, str]:
    """Add the fast mode to the service tiers; return the factors by geography."""
    multipliers = entry.get(MULTIPLIERS)
    factors = {
        name: Decimal(str(value))
        for name, value in (multipliers.items() if isinstance(multipliers, dict) else ())
        if type(value) in (int, float) and value > 0
    }
    fast = factors.pop("fast", None)
    if fast is not None:
        tokens = {name: _text(rate * fast) for name, rate in rates.items() if name != "web_search"}
        steps = [
            {name: value if name == "above" else _text(Decimal(value) * fast) for name, value in step.items()}
            for step in _ascending(prompt)
        ]
        service["fast"] = {**tokens, **({"prompt": steps} if steps else {})}
    return {name: _text(factor) for name, factor in factors.items() if _GEOGRAPHY.fullmatch(name)}


def _ascending(steps: dict[int, dict[str, Any]]) -> list[dict[str, Any]]:
    return [steps[above] for above in sorted(steps)]


def _text(rate: Decimal) -> str:
    return f"{rate.normalize():f}"

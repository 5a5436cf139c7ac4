"""Prices from the data bundled with genai-prices.

Importing this module is cheap. The first lookup loads the data (1.6 MB of Python), which takes 0.2 s; therefore no request is made to
wait for a lookup.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from datetime import UTC, datetime, time
from decimal import Decimal
from typing import Any

from billing.models import Price
from billing.pricing.sources import ListedPrice, Place, provider_of

CLASSES: Mapping[str, str] = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
    "input_audio_mtok": "input_audio",
    "output_audio_mtok": "output_audio",
    "input_image_mtok": "input_image",
    "output_image_mtok": "output_image",
    "web_searches_kcount": "web_search",
}
PRICED_HOUR = time(12, tzinfo=UTC)
"""Prices are those of this time of the day: discounts at night (DeepSeek's) are not known here, so costs are not too low."""
TIER_KEYS = ("service_tier", "processing", "speed")
"""The conditions of price variants whose value is a service tier here: `flex`, `priority`, `batch`, `fast`."""


def look_up_genai_price(name: str, place: Place) -> ListedPrice | None:
    """The bundled price of a model at its provider; of an unknown provider, that of the provider whose clauses match the name.

    A known provider that does not list the model has no price for it: those of other providers are not its.
    """
    from genai_prices.data_snapshot import find_provider_by_id, get_snapshot

    snapshot = get_snapshot()
    provider_id = provider_of(place)
    provider = None if provider_id is None else find_provider_by_id(snapshot.providers, provider_id)
    if not name:
        return None
    if provider is not None:
        model = provider.find_model(name, all_providers=snapshot.providers)
    else:
        try:
            _, model = snapshot.find_provider_model(name, None, None, None)
        except LookupError:
            model = None
    return None if model is None else _price_of(model)


def _price_of(model: Any) -> ListedPrice | None:
    now = datetime.combine(datetime.now(UTC), PRICED_HOUR)
    rates, prompt = _rates(model.get_prices(now))
    if not rates:
        return None
    service: dict[str, dict[str, Any]] = {}
    for variant in model.price_variants or ():
        (key,) = variant.when if len(variant.when) == 1 else ("",)
        if key in TIER_KEYS and (variant.constraint is None or variant.constraint.active(now)):
            flat, steps = _rates(variant.prices)
            if flat:
                texts = {name: str(rate) for name, rate in flat.items()}
                service.setdefault(variant.when[key], {**texts, **({"prompt": steps} if steps else {})})
    tiers = {**({"prompt": prompt} if prompt else {}), **({"service": service} if service else {})}
    version = f"genai-prices {importlib.metadata.version('genai-prices')}"
    return ListedPrice(rates=rates, tiers=tiers, source=Price.Source.GENAI_PRICES, version=version)


def _rates(prices: Any) -> tuple[dict[str, Decimal], list[dict[str, Any]]]:
    """Base rates by class, and prompt tiers as `Price.tiers` holds them."""
    rates: dict[str, Decimal] = {}
    steps: dict[int, dict[str, Any]] = {}
    for key, name in CLASSES.items():
        price = getattr(prices, key, None)
        if price is None:
            continue
        rates[name] = getattr(price, "base", price)
        for tier in getattr(price, "tiers", ()):
            steps.setdefault(tier.start, {"above": tier.start})[name] = str(tier.price)
    return rates, [steps[start] for start in sorted(steps)]

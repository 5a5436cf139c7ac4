"""Where prices come from: the data bundled with genai-prices, and files in the format of LiteLLM's price file.

Importing this module is cheap; the bundled data (1.6 MB of Python) are read by the first lookup, which takes 0.2 s. Requests
never get here.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import msgspec

from billing.models import Price
from billing.rates import CLASSES

FETCH_SECONDS = 30.0


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A price as a source lists it: rates of `tariff.CLASSES` in USD per million tokens, and tiers as `Price` stores them."""

    rates: dict[str, Decimal]
    tiers: dict[str, Any]
    source: str
    version: str


Source = Callable[[str, str], Listed | None]
"""Takes the upstream's name of a model and the upstream's base URL; `None` if it does not know the model."""


# --- genai-prices ------------------------------------------------------------------------------------------------------

GENAI_CLASSES: Mapping[str, str] = {
    "input_mtok": "input",
    "output_mtok": "output",
    "cache_read_mtok": "cache_read",
    "cache_write_mtok": "cache_write_5m",
    "cache_write_1h_mtok": "cache_write_1h",
}


def genai_prices(name: str, base_url: str) -> Listed | None:
    """The bundled price of a model: of the provider that lives at `base_url` if it is known there, else of its maker."""
    from genai_prices.data_snapshot import get_snapshot

    snapshot = get_snapshot()
    for reference, url in ((name, base_url or None), (name, None), (name.rpartition("/")[2], None)):
        try:
            _, model = snapshot.find_provider_model(reference, None, None, url)
        except LookupError:
            continue
        now = datetime.now(UTC)
        rates, prompt = _genai_rates(model.get_prices(now))
        if not rates:
            continue
        service = {}
        for variant in model.price_variants or ():
            if set(variant.when) == {"service_tier"} and (variant.constraint is None or variant.constraint.active(now)):
                flat, steps = _genai_rates(variant.prices)
                if flat:
                    service[variant.when["service_tier"]] = {**_texts(flat), **({"prompt": steps} if steps else {})}
        tiers = {**({"prompt": prompt} if prompt else {}), **({"service": service} if service else {})}
        version = f"genai-prices {importlib.metadata.version('genai-prices')}"
        return Listed(rates=rates, tiers=tiers, source=Price.Source.GENAI_PRICES, version=version)
    return None


def _genai_rates(prices: Any) -> tuple[dict[str, Decimal], list[dict[str, Any]]]:
    """Base rates, and whole-prompt tiers as stored."""
    rates: dict[str, Decimal] = {}
    steps: dict[int, dict[str, Any]] = {}
    for key, name in GENAI_CLASSES.items():
        price = getattr(prices, key)
        if price is None:
            continue
        rates[name] = getattr(price, "base", price)
        for tier in getattr(price, "tiers", ()):
            steps.setdefault(tier.start, {"above": tier.start})[name] = str(tier.price)
    return rates, [steps[start] for start in sorted(steps)]


class FetchFailed(Exception):  # noqa: N818  (it says what happened)
    """A price file could not be fetched; the message says why, for people."""


def fetch(url: str) -> bytes:
    """Fetch a price file. Raises :class:`FetchFailed`."""
    import httpx

    try:
        answer = httpx.get(url, timeout=FETCH_SECONDS, follow_redirects=True)
        answer.raise_for_status()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise FetchFailed(f"Failed to fetch pricing: {error}") from error
    return answer.content


# --- LiteLLM's price file ----------------------------------------------------------------------------------------------

LITELLM_CLASSES: Mapping[str, str] = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write_5m",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
}
LITELLM_TIERS = ("flex", "priority")
_ABOVE = re.compile(r"(.+)_above_(\d+)k_tokens")
_NOT_MODELS = frozenset({"sample_spec", "fallback_generalizations"})


def litellm(content: bytes, *, version: str) -> Source:
    """A source made of a price file. Raises ValueError if it is not one. Entries without prices are as if they were not there."""
    try:
        entries = msgspec.json.decode(content)
    except msgspec.DecodeError as error:
        raise ValueError(f"not a price file: {error}") from error
    if not isinstance(entries, dict):
        raise ValueError("not a price file: not a JSON object")  # noqa: TRY004  (the content is wrong, not an argument's type)
    listed = {
        name: found
        for name, entry in entries.items()
        if name not in _NOT_MODELS and isinstance(entry, dict) and (found := _litellm_entry(entry, version))
    }

    def look_up(name: str, base_url: str) -> Listed | None:  # noqa: ARG001  (the file does not know addresses)
        return listed.get(name)

    return look_up


def _litellm_entry(entry: dict[str, Any], version: str) -> Listed | None:
    rates: dict[str, Decimal] = {}
    prompt: dict[int, dict[str, Any]] = {}
    service: dict[str, dict[str, Any]] = {}
    for key, value in entry.items():
        if type(value) not in (int, float) or value < 0:
            continue
        rate = Decimal(str(value)) * 1_000_000
        base, above = key, None
        if parts := _ABOVE.fullmatch(key):
            base, above = parts[1], int(parts[2]) * 1000
        tier = next((tier for tier in LITELLM_TIERS if base.endswith(f"_{tier}")), None)
        name = LITELLM_CLASSES.get(base.removesuffix(f"_{tier}"))
        if name is None:
            continue
        if tier is not None and above is None:
            service.setdefault(tier, {})[name] = str(rate)
        elif above is not None and tier is None:
            prompt.setdefault(above, {"above": above})[name] = str(rate)
        elif above is None:
            rates[name] = rate
    if not rates.get("input") and not rates.get("output"):
        return None
    tiers = {**({"prompt": [prompt[above] for above in sorted(prompt)]} if prompt else {}), **({"service": service} if service else {})}
    return Listed(rates=rates, tiers=tiers, source=Price.Source.LITELLM, version=version)


def _texts(rates: Mapping[str, Decimal]) -> dict[str, str]:
    return {name: str(rates[name]) for name in CLASSES if name in rates}

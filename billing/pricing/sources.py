"""What a source of prices is, and the sources that need no data: the echo, and the list of the upstream itself.

Data are in `genai` (bundled), `litellm` (files) and `price_file` (the file that the settings name).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, NamedTuple

import msgspec

from billing.models import Price
from upstreams.echo import SCHEME
from upstreams.http.urls import base_of
from upstreams.models import Upstream
from upstreams.presets import PRESETS

PER_MILLION = 1_000_000
_PLACEHOLDER = re.compile(r"{[^}]*}")


class ListedPrice(msgspec.Struct, frozen=True, kw_only=True):
    """A price from a source: rates by the classes of `rates.CLASSES`, in their units, and tiers as `Price.tiers` holds them."""

    rates: dict[str, Decimal]
    tiers: dict[str, Any]
    source: str
    version: str


class Place(NamedTuple):
    """Where a model is served. `pricing`: its price in the upstream's own model list, as that has it; `None` if it lists none."""

    preset: str = ""
    base_url: str = ""
    pricing: Mapping[str, Any] | None = None


PriceSource = Callable[[str, Place], ListedPrice | None]
"""Called with a remote name and its place; returns `None` if it does not know the model."""


def place_of(upstream: Upstream | None, *, listed: Mapping[str, Any] | None = None, name: str = "") -> Place:
    """The place of a model at an upstream. `listed`: what a route holds of the upstream's list; it counts for `name` alone."""
    if upstream is None:
        return Place()
    pricing = listed.get("pricing") if listed and listed.get("name") == name else None
    return Place(upstream.preset, base_of(upstream), pricing)


def provider_of(place: Place) -> str | None:
    """The provider by genai-prices' id: the preset's, else the one whose addresses the base URL matches; `None` if it is unknown."""
    return _provider_of_preset(place.preset) or _provider_at(place.base_url)


@cache
def _provider_of_preset(name: str) -> str | None:
    preset = PRESETS.get(name)
    return None if preset is None else _provider_at(_PLACEHOLDER.sub("any", preset.base_url))


@lru_cache(maxsize=1000)
def _provider_at(base_url: str) -> str | None:
    if not base_url.startswith("http"):
        return None
    from genai_prices.data_snapshot import get_snapshot

    return next((provider.id for provider in get_snapshot().providers if re.match(provider.api_pattern, base_url)), None)


def look_up_echo(name: str, place: Place) -> ListedPrice | None:  # noqa: ARG001  (all of its models are free)
    """The built-in echo is free."""
    if not place.base_url.startswith(f"{SCHEME}:"):
        return None
    return ListedPrice(rates={"input": Decimal(0), "output": Decimal(0)}, tiers={}, source=Price.Source.BUILT_IN, version="")


LIST_CLASSES: Mapping[str, str] = {
    "prompt": "input",
    "completion": "output",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write_5m",
    "input_cache_write_1h": "cache_write_1h",
    "audio": "input_audio",
    "audio_output": "output_audio",
    "image_token": "input_image",
    "image_output": "output_image",
}
"""The rates in an upstream's list, in USD per token (OpenRouter's `pricing`)."""


def look_up_listed_price(name: str, place: Place) -> ListedPrice | None:  # noqa: ARG001  (the place has the model's own price)
    """The price in the upstream's own list. A negative rate, as OpenRouter's routers have it, is unknown; 0 is free.

    A price that also depends on something else (a fee for each request, other rates for long prompts) is left to other sources.
    """
    if not place.pricing or place.pricing.get("overrides") or _rate(place.pricing.get("request")):
        return None
    rates = {
        field: (rate * PER_MILLION).normalize()
        for key, field in LIST_CLASSES.items()
        if (rate := _rate(place.pricing.get(key))) is not None
    }
    if "input" not in rates and "output" not in rates:
        return None
    if (search := _rate(place.pricing.get("web_search"))) is not None:
        rates["web_search"] = search * 1000
    return ListedPrice(rates=rates, tiers={}, source=Price.Source.UPSTREAM, version="")


def _rate(value: Any) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, (str, int, float)) or len(str(value)) > 40:
        return None
    try:
        rate = Decimal(str(value))
    except ArithmeticError:
        return None
    return rate if rate.is_finite() and 0 <= rate <= 1 else None

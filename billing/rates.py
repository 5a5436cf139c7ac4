"""The cost of a usage: rates by class, prompt tiers, service tiers, regions. Pure arithmetic in `Decimal`; no database, no clock.

Amounts are USD per million tokens, of web searches USD per thousand. `tiers`, as stored with a price, is JSON of this shape (every part
may be absent)::

    {"prompt": [{"above": 200000, "input": "6", "output": "22.5"}],
     "service": {"flex": {"input": "1", "output": "4", "prompt": [{"above": 272000, "input": "2"}]}},
     "geo": {"us": "1.1"}}

A prompt tier applies to *every* token of a request whose whole input (caches included) has more than `above` tokens. A service tier
applies when the upstream reports its name as the service tier or as the speed. A class that a tier does not list keeps the rate that
it has without the tier. `geo` multiplies the cost by a factor when the upstream reports this inference geography.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from proxy.translation.canonical import Usage

MILLION = Decimal(1_000_000)
SEARCHES_PER_MILLION = 1000
"""A rate of web searches is USD per thousand; times this number of searches it is USD per million, as for tokens."""
SEARCHES = "web_search_requests"
"""The server tool that has a price."""
FAST = "fast"
ONE = Decimal(1)
STANDARD = ""
"""The key of the rates for requests whose service tier has none of its own."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """USD per million tokens by class, of `web_search` USD per thousand searches; `None` is unknown."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    input_audio: Decimal | None = None
    output_audio: Decimal | None = None
    input_image: Decimal | None = None
    output_image: Decimal | None = None
    web_search: Decimal | None = None


CLASSES: tuple[str, ...] = Rates.__struct_fields__
Steps = tuple[tuple[int, Rates], ...]
"""Pairs of a prompt length in tokens and the rates for longer prompts, ascending; the first length is -1."""


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """One price. `schedule` has the rates of each service tier by its name in lower case, and always those of `STANDARD`.

    `id` and `version` are those of the stored `Price`; log rows refer to them. `geo`: factors by inference geography in lower case.
    `factor`: the mark-up or discount of the upstream.
    """

    schedule: Mapping[str, Steps]
    id: str = ""
    version: str = ""
    geo: Mapping[str, Decimal] = {}
    factor: Decimal = ONE

    @property
    def rates(self) -> Rates:
        """The rates of a short prompt in the standard tier."""
        return self.schedule[STANDARD][0][1]

    def for_usage(self, usage: Usage) -> Rates:
        """The rates for the prompt length, the speed and the service tier of a usage."""
        tier = FAST if usage.speed == FAST else usage.service_tier
        steps = (self.schedule.get(tier.lower()) if tier else None) or self.schedule[STANDARD]
        if len(steps) == 1:
            return steps[0][1]
        length = usage.total_input
        return next(rates for above, rates in reversed(steps) if length > above)

    def factor_for(self, usage: Usage) -> Decimal:
        """What the cost of a usage is multiplied by."""
        geo = self.geo.get(usage.inference_geo.lower()) if self.geo and usage.inference_geo else None
        return self.factor if geo is None else self.factor * geo

    @property
    def is_free(self) -> bool:
        """Whether input and output cost nothing."""
        return self.rates.input == 0 and self.rates.output == 0


def make_prices(rates: Mapping[str, Decimal | None], tiers: object = None, *, id: str = "", version: str = "") -> Prices:  # noqa: A002
    """Make a price of base rates and stored tiers. Raises ValueError with a sentence for people if the tiers are malformed."""
    prompt, service = read_tiers(tiers)
    schedule = {STANDARD: _steps([(rates, prompt)])}
    for name, (flat, own_prompt) in service.items():
        schedule[name.lower()] = _steps([(flat, own_prompt), (rates, prompt)])
    return Prices(schedule=schedule, id=id, version=version, geo=read_geo(tiers))


Level = Mapping[str, Any]
PromptTiers = list[tuple[int, Level]]


def _steps(layers: list[tuple[Level, PromptTiers]]) -> Steps:
    """Merge layers, each with flat rates and prompt tiers: a class is taken from the first layer that lists it, at every prompt length."""
    lengths = sorted({above for _, prompt in layers for above, _ in prompt})
    return tuple((length, Rates(**{name: _rate(name, length, layers) for name in CLASSES})) for length in (-1, *lengths))


def _rate(name: str, length: int, layers: list[tuple[Level, PromptTiers]]) -> Decimal | None:
    for flat, prompt in layers:
        named = [level[name] for above, level in [(-1, flat), *prompt] if above <= length and level.get(name) is not None]
        if named:
            return Decimal(named[-1])
    return None


def read_tiers(value: object) -> tuple[PromptTiers, dict[str, tuple[Level, PromptTiers]]]:
    """Check and unpack the JSON of the tiers. Raises ValueError with a sentence for people."""
    if not value:
        return [], {}
    if not isinstance(value, dict) or set(value) - {"prompt", "service", "geo"}:
        raise ValueError('Tiers are an object with "prompt", "service" and "geo".')
    service = value.get("service", {})
    if not isinstance(service, dict) or not all(isinstance(tier, dict) for tier in service.values()):
        raise ValueError('"service" maps the name of a service tier to its rates.')
    return _read_prompt(value.get("prompt", [])), {
        name: (_read_level(tier, besides={"prompt"}), _read_prompt(tier.get("prompt", []))) for name, tier in service.items()
    }


def read_geo(value: object) -> dict[str, Decimal]:
    """The factors of the tiers by geography in lower case. Raises ValueError with a sentence for people."""
    geo = value.get("geo", {}) if isinstance(value, dict) else {}
    if not isinstance(geo, dict):
        raise ValueError('"geo" maps the name of an inference geography to a factor.')  # noqa: TRY004  (the content is wrong)
    try:
        factors = {str(name).lower(): Decimal(str(factor)) for name, factor in geo.items()}
    except InvalidOperation:
        raise ValueError("Factors are numbers.") from None
    if not all(factor.is_finite() and factor >= 0 for factor in factors.values()):
        raise ValueError("Factors are not negative.")
    return factors


def _read_prompt(tiers: object) -> PromptTiers:
    if not isinstance(tiers, list) or not all(isinstance(tier, dict) and type(tier.get("above")) is int for tier in tiers):
        raise ValueError('"prompt" is a list of objects with a whole number "above" and rates.')
    return sorted(((tier["above"], _read_level(tier, besides={"above"})) for tier in tiers), key=lambda tier: tier[0])


def _read_level(tier: dict[str, Any], *, besides: set[str]) -> Level:
    if unknown := sorted(set(tier) - set(CLASSES) - besides):
        raise ValueError(f"There is no class of tokens called {unknown[0]}; there are {', '.join(CLASSES)}.")
    try:
        level = {name: Decimal(str(tier[name])) for name in CLASSES if tier.get(name) is not None}
    except InvalidOperation:
        raise ValueError("Rates are numbers.") from None
    if not all(rate.is_finite() and rate >= 0 for rate in level.values()):
        raise ValueError("Rates are not negative.")
    return level


PriceOf = Callable[[str], Prices | None]
"""The prices of another model at the same upstream, by its remote name; `None` if it has none."""


def compute_cost(usage: Usage, prices: Prices, price_of: PriceOf | None = None) -> Decimal | None:
    """The cost of a usage in USD, not rounded; `None` if a class that was used has no known rate.

    Parts that name a model cost what `price_of` says; without a price of theirs the whole cost is unknown.
    """
    total = _cost_of_counts(usage, prices) if usage.is_measured else None
    for part in usage.parts:
        own = prices if part.model is None else price_of(part.model) if price_of and part.model else None
        cost = None if own is None else _cost_of_counts(part.usage, own)
        if total is None or cost is None:
            return None
        total += cost
    return total


def _cost_of_counts(usage: Usage, prices: Prices) -> Decimal | None:
    """The cost without the parts.

    An unknown cache rate does not count as 0. Cache reads and 5-minute writes then cost as much as other input (providers that publish
    no such rate bill them like this), 1-hour writes as much as 5-minute writes; images as much as other input and output. Audio,
    searches and the fast mode have no such substitute: they cost several times as much.
    """
    if usage.speed == FAST and FAST not in prices.schedule:
        return None
    rates = prices.for_usage(usage)
    counts: tuple[tuple[int, Decimal | None], ...] = (
        (usage.fresh - usage.input_audio - usage.input_image, rates.input),
        (usage.output - usage.output_audio - usage.output_image, rates.output),
    )
    if _has_rarer_counts(usage):
        counts += _rarer_counts(usage, rates)
    total = Decimal(0)
    for tokens, rate in counts:
        if tokens:
            if rate is None:
                return None
            total += tokens * rate
    factor = prices.factor_for(usage)
    return total / MILLION if factor is ONE else total / MILLION * factor


def _has_rarer_counts(usage: Usage) -> bool:
    return bool(
        usage.cache_read or usage.cache_write_5m or usage.cache_write_1h or usage.server_tools
        or usage.input_audio or usage.output_audio or usage.input_image or usage.output_image
    )  # fmt: skip


def _rarer_counts(usage: Usage, rates: Rates) -> tuple[tuple[int, Decimal | None], ...]:
    cache_write_5m = rates.input if rates.cache_write_5m is None else rates.cache_write_5m
    return (
        (usage.cache_read, rates.input if rates.cache_read is None else rates.cache_read),
        (usage.cache_write_5m, cache_write_5m),
        (usage.cache_write_1h, cache_write_5m if rates.cache_write_1h is None else rates.cache_write_1h),
        (usage.input_audio, rates.input_audio),
        (usage.output_audio, rates.output_audio),
        (usage.input_image, rates.input if rates.input_image is None else rates.input_image),
        (usage.output_image, rates.output if rates.output_image is None else rates.output_image),
        (usage.server_tools.get(SEARCHES, 0) * SEARCHES_PER_MILLION, rates.web_search),
    )

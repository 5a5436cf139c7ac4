"""The cost of tokens: rates by class, prompt tiers, service tiers. Pure arithmetic in `Decimal`; no database, no clock.

Amounts are USD per million tokens. `tiers`, as stored with a price, is JSON of this shape (every part may be absent)::

    {"prompt": [{"above": 200000, "input": "6", "output": "22.5"}],
     "service": {"flex": {"input": "1", "output": "4", "prompt": [{"above": 272000, "input": "2"}]}}}

A prompt tier applies to *every* token of a request whose whole input (caches included) has more than `above` tokens. A service tier
applies when the upstream reports its name. A class that a tier does not list keeps the rate that it has without the tier.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import msgspec

from proxy.translation.canonical import Usage

MILLION = Decimal(1_000_000)
STANDARD = ""
"""The key of the rates for requests whose service tier has none of its own."""


class Rates(msgspec.Struct, frozen=True, kw_only=True):
    """USD per million tokens by class; `None` is unknown."""

    input: Decimal | None = None
    output: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None


CLASSES: tuple[str, ...] = Rates.__struct_fields__
Steps = tuple[tuple[int, Rates], ...]
"""Pairs of a prompt length in tokens and the rates for longer prompts, ascending; the first length is -1."""


class Prices(msgspec.Struct, frozen=True, kw_only=True):
    """One price. `schedule` has the rates of each service tier by its name in lower case, and always those of `STANDARD`.

    `id` and `version` are those of the stored `Price`; log rows refer to them.
    """

    schedule: Mapping[str, Steps]
    id: str = ""
    version: str = ""

    @property
    def rates(self) -> Rates:
        """The rates of a short prompt in the standard tier."""
        return self.schedule[STANDARD][0][1]

    def for_usage(self, usage: Usage) -> Rates:
        """The rates for the prompt length and the service tier of a usage."""
        tier = usage.service_tier
        steps = (self.schedule.get(tier.lower()) if tier else None) or self.schedule[STANDARD]
        if len(steps) == 1:
            return steps[0][1]
        length = usage.total_input
        return next(rates for above, rates in reversed(steps) if length > above)


def make_prices(rates: Mapping[str, Decimal | None], tiers: object = None, *, id: str = "", version: str = "") -> Prices:  # noqa: A002
    """Make a price of base rates and stored tiers. Raises ValueError with a sentence for people if the tiers are malformed."""
    prompt, service = read_tiers(tiers)
    schedule = {STANDARD: _steps([(rates, prompt)])}
    for name, (flat, own_prompt) in service.items():
        schedule[name.lower()] = _steps([(flat, own_prompt), (rates, prompt)])
    return Prices(schedule=schedule, id=id, version=version)


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
    if not isinstance(value, dict) or set(value) - {"prompt", "service"}:
        raise ValueError('Tiers are an object with "prompt" and "service".')
    service = value.get("service", {})
    if not isinstance(service, dict) or not all(isinstance(tier, dict) for tier in service.values()):
        raise ValueError('"service" maps the name of a service tier to its rates.')
    return _read_prompt(value.get("prompt", [])), {
        name: (_read_level(tier, besides={"prompt"}), _read_prompt(tier.get("prompt", []))) for name, tier in service.items()
    }


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


def compute_cost(usage: Usage, prices: Prices) -> Decimal | None:
    """The cost of the tokens in USD, not rounded; `None` if a class with tokens has no known rate.

    An unknown cache rate does not count as 0. Cache reads and 5-minute writes then cost as much as other input (providers that publish
    no such rate bill them like this), 1-hour writes as much as 5-minute writes.
    """
    rates = prices.for_usage(usage)
    cache_write_5m = rates.input if rates.cache_write_5m is None else rates.cache_write_5m
    total = Decimal(0)
    for tokens, rate in (
        (usage.fresh, rates.input),
        (usage.output, rates.output),
        (usage.cache_read, rates.input if rates.cache_read is None else rates.cache_read),
        (usage.cache_write_5m, cache_write_5m),
        (usage.cache_write_1h, cache_write_5m if rates.cache_write_1h is None else rates.cache_write_1h),
    ):
        if tokens:
            if rate is None:
                return None
            total += tokens * rate
    return total / MILLION

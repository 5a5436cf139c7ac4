"""What a request is expected to cost at most, before it is sent: the estimated input at the dearest input rate, and the output limit."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import NamedTuple

import msgspec

from accounts.common.gateway_config import config
from billing.pricing import price_book
from billing.pricing.price_book import PriceKey
from billing.rates import FAST, ONE, STANDARD, Prices, Rates
from proxy.exchange.request_context import RequestContext
from proxy.translation.canonical import Usage
from proxy.translation.errors import ClientMistake
from proxy.translation.token_estimate import estimate_input_tokens
from upstreams.catalog.snapshot import ModelEntry
from upstreams.routing.plan import Target

BYTES_PER_TOKEN = 4
MEDIA_BYTES = 65_536
"""A longer body may hold media, which has many bytes and few tokens: its parts are counted."""
MAX_SIMPLE = 1000
PICO_PER_RATE = Decimal(1_000_000)
"""A rate of one dollar per million tokens is so many pico-dollars per token."""
_int = msgspec.json.Decoder(int)
_str = msgspec.json.Decoder(str)
_fields = msgspec.json.Decoder(dict[str, msgspec.Raw])


def input_tokens(context: RequestContext) -> int:
    """The estimated input tokens."""
    if context.size > MEDIA_BYTES:
        try:
            return estimate_input_tokens(context.preparer.request)
        except ClientMistake:  # an upstream of the client's own dialect may accept a body that pxbin cannot decode
            pass
    return -(-context.size // BYTES_PER_TOKEN)


def expected_cost(context: RequestContext, targets: Sequence[Target], tokens: int, *, generates: bool) -> int | None:
    """Pico-dollars at the dearest of ``targets``; ``None`` if one of them has no price. ``generates``: a model writes an output."""
    fields, shape = context.envelope.fields, context.dialect.prompt_shape
    settings = _object(fields, shape.settings) if shape.settings else fields
    stated = [value for name in shape.limits if (value := _number(settings, name)) is not None]
    choices = max(1, _number(settings, shape.choices) or 1) if shape.choices in settings else 1
    tier = _text(fields, "speed") or _text(fields, shape.tier) if "speed" in fields or shape.tier in fields else ""
    dearest = 0
    for target in targets:
        prices = price_book.current().find(PriceKey(target.model.id, target.upstream.id, target.remote_name))
        output = output_limit(target.model, max(stated, default=None)) if generates else 0
        cost = None if prices is None else _cost(prices, tokens, output * choices, tier)
        if cost is None:
            return None
        dearest = max(dearest, cost)
    return dearest


def output_limit(model: ModelEntry, stated: int | None) -> int:
    """The most output tokens of a response of a model; ``stated``: the limit in the request."""
    limit = stated if stated is not None else model.max_tokens_default
    caps = [cap for cap in (model.max_tokens_cap, model.max_output_tokens) if cap is not None]
    if limit is None:
        return min(caps, default=int(config().default_max_output_tokens))
    return max(0, min([limit, *caps]))


class _TokenCosts(NamedTuple):
    """Pico-dollars per token of a price without tiers. ``prices``: kept, so that no other object gets its id."""

    prices: Prices
    input: Decimal
    output: Decimal | None


_simple: dict[int, _TokenCosts] = {}
"""By the id of the :class:`Prices`, which live as long as a price book."""


def _cost(prices: Prices, tokens: int, output: int, tier: str) -> int | None:
    costs = _simple.get(id(prices)) if not tier else None
    if costs is None:
        if tier == FAST and FAST not in prices.schedule:
            return None
        rates = prices.for_usage(Usage(fresh=tokens, service_tier=tier))
        if rates.input is None:
            return None
        factor = prices.factor * max(prices.geo.values(), default=Decimal(1)) * PICO_PER_RATE
        costs = _TokenCosts(prices, _dearest_input(rates) * factor, None if rates.output is None else rates.output * factor)
        if len(prices.schedule[STANDARD]) == 1 and not tier and prices.factor is ONE:  # upstreams with a factor get new objects each time
            if len(_simple) >= MAX_SIMPLE:
                _simple.clear()
            _simple[id(prices)] = costs
    if costs.output is None:
        return None if output else math.ceil(tokens * costs.input)
    return math.ceil(tokens * costs.input + output * costs.output)


def _dearest_input(rates: Rates) -> Decimal:
    return max(rate for rate in (rates.input, rates.cache_read, rates.cache_write_5m, rates.cache_write_1h) if rate is not None)


def _object(fields: Mapping[str, msgspec.Raw], name: str) -> Mapping[str, msgspec.Raw]:
    """The fields of an object in a body; none for anything else, which the dialect or the upstream refuses."""
    try:
        return _fields.decode(fields[name]) if name in fields else {}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return {}


def _number(fields: Mapping[str, msgspec.Raw], name: str) -> int | None:
    """A whole number of at least 0 in a body; ``None`` for anything else, which the dialect or the upstream refuses."""
    try:
        value = _int.decode(fields[name]) if name in fields else None
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    return value if value is not None and value >= 0 else None


def _text(fields: Mapping[str, msgspec.Raw], name: str) -> str:
    try:
        return _str.decode(fields[name]) if name in fields else ""
    except (msgspec.DecodeError, UnicodeDecodeError):
        return ""

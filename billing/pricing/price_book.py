"""The price book: prices in memory, from which requests take theirs. The database's table is `Price`.

A price that was entered by hand (source `manual`) wins over one from price data. Within a source, the most specific price wins:

1. of this model at this upstream
2. of this model at any upstream
3. of this remote name at this upstream
4. of this remote name at any upstream
5. of all models of this upstream (the name `*`)

A price is valid from one moment until another. Of several that are valid, the one that began last counts.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from django.db import transaction
from django.db.models import Q, QuerySet
from django.utils import timezone

from accounts import cache_revisions
from billing import rates
from billing.models import Price
from billing.rates import CLASSES, Prices
from upstreams.models import Model, Upstream

ALL_MODELS = "*"
"""The name of a price for every model of an upstream."""


class PriceKey(NamedTuple):
    """What a price belongs to, or what one is looked up for. In the key of a price, an empty text means any."""

    model_id: str
    upstream_id: str
    remote_name: str


class Version(NamedTuple):
    """A price and when it is valid, in Unix seconds: from `start` to just before `end`."""

    start: float
    end: float
    prices: Prices


Versions = Mapping[Any, tuple[Version, ...]]
"""The versions of each price by its key, the one that begins last first."""


class PriceState(StrEnum):
    """What is known of what a model costs. An unpriced model is not a free one."""

    PRICED = "priced"
    FREE = "free"
    UNPRICED = "unpriced"


class PriceBook:
    """A snapshot of prices. `factors`: mark-ups and discounts by upstream id, where they are not 1."""

    def __init__(self, manual: Versions, listed: Versions, factors: Mapping[str, Decimal] | None = None) -> None:
        self._sources = (manual, listed)
        self._factors = factors or {}

    def find(self, key: PriceKey, at: float | None = None) -> Prices | None:
        """The prices of a remote model that an upstream serves for one of our models; `None` if there are none.

        `at`: Unix seconds; by default now.
        """
        moment = time.time() if at is None else at
        for version in self._candidates(key):
            if version.start <= moment < version.end:
                return self._at_upstream(version.prices, key)
        return None

    def find_or_later(self, key: PriceKey, at: float) -> Prices | None:
        """The prices that were valid then; if there were none, the first that became valid later."""
        if (prices := self.find(key, at)) is not None:
            return prices
        later = min((version for version in self._candidates(key) if version.start > at), key=lambda version: version.start, default=None)
        return None if later is None else self._at_upstream(later.prices, key)

    def _candidates(self, key: PriceKey) -> Iterator[Version]:
        """The versions of the prices that a key may have, those that win first."""
        model_id, upstream_id, remote_name = key
        candidates = (  # plain tuples are equal to keys, and made ten times as fast
            (model_id, upstream_id, ""),
            (model_id, "", ""),
            ("", upstream_id, remote_name),
            ("", "", remote_name),
            ("", upstream_id, ALL_MODELS),
        )
        for versions in self._sources:
            for candidate in candidates:
                yield from versions.get(candidate, ())

    def _at_upstream(self, prices: Prices, key: PriceKey) -> Prices:
        factor = self._factors.get(key.upstream_id)
        return prices if factor is None else msgspec.structs.replace(prices, factor=factor)

    def is_overruled(self, row: Price) -> bool:
        """Whether another price wins now over an active one for its own key."""
        match = self.find(_key(row))
        return match is not None and match.id != str(row.pk)


_book = PriceBook({}, {})


def current() -> PriceBook:
    """The book in memory; it never reads the database. Empty until :func:`refresh` has run."""
    return _book


def combined_rate(model_id: str, upstream_id: str, remote_name: str) -> Decimal | None:
    """USD for a million input and a million output tokens, by which the strategy "cheapest" orders targets.

    `None` if neither rate is known; an unknown rate beside a known one counts as 0.
    """
    prices = _book.find(PriceKey(model_id, upstream_id, remote_name))
    known = [] if prices is None else [rate for rate in (prices.rates.input, prices.rates.output) if rate is not None]
    return sum(known, Decimal(0)) * prices.factor if prices and known else None


def refresh() -> None:
    """Load the book again: at the start of a web process and whenever the revision `prices` has changed."""
    global _book  # noqa: PLW0603  (one snapshot for each process, replaced whole)
    _book = load()


def load(*, with_history: bool = False) -> PriceBook:
    """Make a book from the database. Of two prices with the same key and beginning, the one created later counts.

    `with_history`: also with prices that were replaced, for rating requests of the past.
    """
    manual: dict[PriceKey, list[Version]] = {}
    listed: dict[PriceKey, list[Version]] = {}
    wanted = Q(is_active=True) | Q(valid_until__isnull=False) if with_history else Q(is_active=True)
    for row in Price.objects.filter(wanted).order_by("-valid_from", "-created_at", "-id"):
        end = row.valid_until.timestamp() if row.valid_until else math.inf
        version = Version(row.valid_from.timestamp(), end, prices_from_row(row))
        (manual if row.source == Price.Source.MANUAL else listed).setdefault(_key(row), []).append(version)
    factors = dict(Upstream.objects.exclude(price_factor=1).values_list("pk", "price_factor"))
    return PriceBook(_frozen(manual), _frozen(listed), {str(upstream_id): factor for upstream_id, factor in factors.items()})


def _frozen(versions: Mapping[PriceKey, list[Version]]) -> Versions:
    return {key: tuple(key_versions) for key, key_versions in versions.items()}


def prices_from_row(row: Price) -> Prices:
    """The rates and tiers of a stored price, for computing costs."""
    return rates.make_prices({name: getattr(row, name) for name in CLASSES}, row.tiers, id=str(row.pk), version=row.version or row.source)


def _key(row: Price) -> PriceKey:
    return PriceKey(str(row.model_id or ""), str(row.upstream_id or ""), "" if row.model_id else row.name)


# --- prices of a model, as the management API shows and sets them ------------------------------------------------------


class ModelPrice(msgspec.Struct, frozen=True, kw_only=True):
    """The rates of a model that the management API shows, in USD per million tokens; `None` is unknown. `source`: a `Price.Source`."""

    input: Decimal | None
    output: Decimal | None
    source: str


def model_prices(models: Iterable[Model]) -> dict[Any, ModelPrice]:
    """The prices of models by their primary keys, in one query; models without a price are left out.

    A model with several prices shows the manual one, else the one for any upstream, else the newest.
    """
    now = timezone.now()
    shown: dict[Any, ModelPrice] = {}
    rows = current_prices(now).filter(model__in=list(models)).order_by("valid_from", "created_at", "id")
    for row in sorted(rows, key=lambda row: (row.source == Price.Source.MANUAL, row.upstream_id is None)):
        shown[row.model_id] = ModelPrice(input=row.input, output=row.output, source=row.source)
    return shown


def current_prices(now: datetime) -> QuerySet[Price]:
    """The active prices that are valid at a point in time."""
    return Price.objects.filter(Q(valid_until__isnull=True) | Q(valid_until__gt=now), is_active=True, valid_from__lte=now)


def retire(prices: QuerySet[Price], moment: datetime) -> int:
    """Replace prices from a point in time on: no later request has them, and a rating of earlier requests still finds them."""
    return prices.update(is_active=False, valid_until=moment)


def set_manual(model: Model, *, input_price: Decimal | None, output_price: Decimal | None) -> None:
    """Set the manual price of a model at every upstream from now on, in USD per million tokens.

    Earlier manual prices are replaced. 0 and 0, or `None` and `None`, set none: then price data count again.
    """
    now = timezone.now()
    with transaction.atomic():
        retire(Price.objects.filter(model=model, source=Price.Source.MANUAL, is_active=True), now)
        if input_price or output_price:
            Price.objects.create(model=model, input=input_price, output=output_price, valid_from=now)


cache_revisions.on_change("prices", refresh)

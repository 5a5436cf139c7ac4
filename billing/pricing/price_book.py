"""The price book: all active prices in memory, from which requests take their prices. The database's table is `Price`.

A price that was entered by hand (source `manual`) wins over one from price data. Within a source, the most specific price wins:

1. of this model at this upstream
2. of this model at any upstream
3. of this remote name at this upstream
4. of this remote name at any upstream
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec
from django.db import transaction

from accounts import cache_revisions
from billing import rates
from billing.models import Price
from billing.rates import CLASSES, Prices
from upstreams.models import Model


class PriceKey(NamedTuple):
    """What a price belongs to, or what one is looked up for. In the key of a price, an empty text means any."""

    model_id: str
    upstream_id: str
    remote_name: str


class PriceBook:
    """A snapshot of all active prices."""

    def __init__(self, manual: Mapping[PriceKey, Prices], listed: Mapping[PriceKey, Prices]) -> None:
        self._sources: tuple[Mapping[Any, Prices], ...] = (manual, listed)

    def find(self, key: PriceKey) -> Prices | None:
        """The prices of a remote model that an upstream serves for one of our models; `None` if there are none."""
        model_id, upstream_id, remote_name = key
        candidates = (  # plain tuples are equal to keys, and made ten times as fast
            (model_id, upstream_id, ""),
            (model_id, "", ""),
            ("", upstream_id, remote_name),
            ("", "", remote_name),
        )
        for prices in self._sources:
            for candidate in candidates:
                match = prices.get(candidate)
                if match is not None:
                    return match
        return None

    def is_overruled(self, row: Price) -> bool:
        """Whether another price wins over an active one for its own key."""
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
    return sum(known, Decimal(0)) if known else None


def refresh() -> None:
    """Load the book again: at the start of a web process and whenever the revision `prices` has changed."""
    global _book  # noqa: PLW0603  (one snapshot for each process, replaced whole)
    _book = load()


def load() -> PriceBook:
    """Make a book from the database. Of two active prices with the same key, the one created later counts."""
    manual: dict[PriceKey, Prices] = {}
    listed: dict[PriceKey, Prices] = {}
    for row in Price.objects.filter(is_active=True).order_by("created_at", "id"):
        (manual if row.source == Price.Source.MANUAL else listed)[_key(row)] = prices_from_row(row)
    return PriceBook(manual, listed)


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
    shown: dict[Any, ModelPrice] = {}
    rows = Price.objects.filter(is_active=True, model__in=list(models)).order_by("created_at", "id")
    for row in sorted(rows, key=lambda row: (row.source == Price.Source.MANUAL, row.upstream_id is None)):
        shown[row.model_id] = ModelPrice(input=row.input, output=row.output, source=row.source)
    return shown


def set_manual(model: Model, *, input_price: Decimal | None, output_price: Decimal | None) -> None:
    """Set the manual price of a model at every upstream, in USD per million tokens.

    Earlier manual prices become inactive. 0 and 0, or `None` and `None`, set none: then price data count again.
    """
    with transaction.atomic():
        Price.objects.filter(model=model, source=Price.Source.MANUAL, is_active=True).update(is_active=False)
        if input_price or output_price:
            Price.objects.create(model=model, input=input_price, output=output_price)


cache_revisions.on_change("prices", refresh)

"""The price book: which price list a request is billed at. In memory for requests; stored in `Price`.

A list that was entered by hand wins over one from price data; among equals, the more specific one wins: for this model at
this upstream, for this model, for the upstream's name of the model at this upstream, for that name anywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import msgspec
from django.db import transaction

from accounts import cache_revisions
from billing import rates
from billing.models import Price
from billing.rates import CLASSES, Prices
from upstreams.models import Model

Target = tuple[str, str, str]
"""Model id (or empty), the upstream's name of the model (or empty), upstream id (or empty for any)."""


class Book:
    """A snapshot of all active prices."""

    def __init__(self, manual: Mapping[Target, Prices], listed: Mapping[Target, Prices]) -> None:
        self._sources = (manual, listed)

    def find(self, model_id: str, upstream_id: str, remote_name: str) -> Prices | None:
        """The prices of what an upstream answered for one of our models; `None` if nobody knows them."""
        for prices in self._sources:
            found = (
                prices.get((model_id, "", upstream_id))
                or prices.get((model_id, "", ""))
                or prices.get(("", remote_name, upstream_id))
                or prices.get(("", remote_name, ""))
            )
            if found is not None:
                return found
        return None

    def overruled(self, row: Price) -> bool:
        """Whether another price is found for what an active one was meant for."""
        found = self.find(_text(row.model_id), _text(row.upstream_id), _target(row)[1])
        return found is not None and found.id != str(row.pk)


_book = Book({}, {})


def book() -> Book:
    """The book in memory; it never reads the database. Empty until :func:`refresh` has run."""
    return _book


def compared(model_id: str, upstream_id: str, remote_name: str) -> Decimal | None:
    """What the strategy "cheapest" compares: a million input and a million output tokens; `None` where nothing is known."""
    found = _book.find(model_id, upstream_id, remote_name)
    known = [] if found is None else [rate for rate in (found.rates.input, found.rates.output) if rate is not None]
    return sum(known, Decimal(0)) if known else None


def refresh() -> None:
    """Read the prices again: at the start of a web process and whenever the revision `prices` has changed."""
    global _book  # noqa: PLW0603  (one snapshot for each process, replaced whole)
    _book = load()


def load() -> Book:
    """A new book from the database; of two lists for the same thing, the later one counts."""
    manual: dict[Target, Prices] = {}
    listed: dict[Target, Prices] = {}
    for row in Price.objects.filter(is_active=True).order_by("created_at", "id"):
        (manual if row.source == Price.Source.MANUAL else listed)[_target(row)] = prices_of(row)
    return Book(manual, listed)


def prices_of(row: Price) -> Prices:
    """A stored price, ready for use."""
    return rates.prices({name: getattr(row, name) for name in CLASSES}, row.tiers, id=str(row.pk), version=row.version or row.source)


def _target(row: Price) -> Target:
    return (_text(row.model_id), "" if row.model_id else row.name, _text(row.upstream_id))


def _text(identifier: Any) -> str:
    return "" if identifier is None else str(identifier)


# --- prices of a model, as the management API shows and sets them ------------------------------------------------------


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """The base prices of a model, USD per million tokens; `None` is unknown. `source` is one of `Price.Source`."""

    input: Decimal | None
    output: Decimal | None
    source: str


def shown_for(models: Iterable[Model]) -> dict[Any, Shown]:
    """The prices of models by their primary keys, in one query; models without any are left out.

    Where upstreams differ, the price that holds for every upstream is shown, else the first one.
    """
    found: dict[Any, Shown] = {}
    rows = Price.objects.filter(is_active=True, model__in=list(models)).order_by("created_at", "id")
    for row in sorted(rows, key=lambda row: (row.source == Price.Source.MANUAL, row.upstream_id is None)):
        found[row.model_id] = Shown(input=row.input, output=row.output, source=row.source)
    return found


def set_manual(model: Model, *, input_price: Decimal | None, output_price: Decimal | None) -> None:
    """Bill a model at these prices from now on, at every upstream. 0 and 0, or nothing at all, take manual prices away."""
    with transaction.atomic():
        Price.objects.filter(model=model, source=Price.Source.MANUAL, is_active=True).update(is_active=False)
        if input_price or output_price:
            Price.objects.create(model=model, input=input_price, output=output_price)


cache_revisions.on_change("prices", refresh)

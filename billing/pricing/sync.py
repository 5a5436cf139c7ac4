"""Write prices from price data into the database: for one model when it is created, for all models on request, for single remote names.

A price that changed gets a new row; its old row stays, inactive, because log rows refer to it. Prices that were entered by hand are
never changed. A price that no source has any more stays active.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction
from django.utils import timezone

from billing.models import Price
from billing.pricing import price_book
from billing.pricing.genai import look_up_genai_price
from billing.pricing.price_file import look_up_price_file
from billing.pricing.sources import ListedPrice, Place, PriceSource, look_up_echo, look_up_listed_price, place_of
from billing.rates import CLASSES, Prices
from upstreams.models import Model, Upstream

SOURCES: tuple[PriceSource, ...] = (look_up_echo, look_up_listed_price, look_up_price_file, look_up_genai_price)
"""The first that knows a model counts: the echo, the upstream's own list, the file of the settings, the bundled data."""
PATTERN = "*"

ListedPrices = Mapping[UUID | None, ListedPrice]
"""The prices of a model by upstream id; the key `None` means any upstream."""


def sync_all(
    sources: Sequence[PriceSource] | None = None, *, progress: Callable[[Iterable[Model]], Iterable[Model]] = iter
) -> dict[str, int]:
    """Update the prices of all models; each takes the price of the first source that knows it.

    ``progress`` yields the models that it gets, and may show how many there were.
    Returns `models_updated` (models with a price in a source), `models_not_found` and `total_models`, as the management API shows them.
    """
    counts = {"models_updated": 0, "models_not_found": 0, "total_models": 0}
    for model in progress(Model.objects.prefetch_related("routes__upstream")):
        prices = _listed_prices(model, sources or SOURCES)
        _store(model, prices)
        counts["total_models"] += 1
        counts["models_updated" if prices else "models_not_found"] += 1
    return counts


def sync_model(model: Model, sources: Sequence[PriceSource] | None = None) -> int:
    """Update the prices of one model; return the number of prices that are new or changed."""
    return _store(model, _listed_prices(model, sources or SOURCES))


def _listed_prices(model: Model, sources: Sequence[PriceSource]) -> ListedPrices:
    """The prices of a model in the sources, by the upstreams of its routes.

    If all upstreams have the same price, it is returned once, for any upstream: routes that are added later then have it, too.
    """
    lookups: dict[UUID | None, tuple[str, Place]] = {}
    for route in model.routes.all():
        name = route.remote_name or model.name
        lookups[route.upstream_id] = (name, place_of(route.upstream, listed=route.listed_pricing, name=name))
    if not lookups:
        lookups = {None: (model.name, place_of(None))}
    results = {upstream_id: _look_up(sources, *lookup) for upstream_id, lookup in lookups.items()}
    prices = {upstream_id: listed for upstream_id, listed in results.items() if listed is not None}
    first = next(iter(prices.values()), None)
    if first is not None and len(prices) == len(results) and all(listed == first for listed in prices.values()):
        return {None: first}
    return prices


def _look_up(sources: Sequence[PriceSource], name: str, place: Place) -> ListedPrice | None:
    if PATTERN in name:
        return None  # many models: each remote name is priced when it first occurs (`late_prices`)
    return next((listed for source in sources if (listed := source(name, place)) is not None), None)


def _store(model: Model, prices: ListedPrices) -> int:
    """Make these the active prices of a model that are not manual; return the number of new rows. Equal rows stay as they are."""
    if not prices:
        return 0
    with transaction.atomic():
        now = timezone.now()
        stored = Price.objects.filter(model=model, is_active=True).exclude(source=Price.Source.MANUAL)
        unchanged = set()
        for row in stored:
            listed = prices.get(row.upstream_id)
            if listed is not None and _is_same(row, listed) and row.upstream_id not in unchanged:
                unchanged.add(row.upstream_id)
            elif listed is not None or None in (row.upstream_id, *prices):
                price_book.retire(Price.objects.filter(pk=row.pk), now)
        new = [upstream_id for upstream_id in prices if upstream_id not in unchanged]
        for upstream_id in new:
            _new_row(prices[upstream_id], model=model, upstream_id=upstream_id, valid_from=now).save()
    return len(new)


def _is_same(row: Price, listed: ListedPrice) -> bool:
    rates = {name: getattr(row, name) for name in CLASSES if getattr(row, name) is not None}
    return rates == listed.rates and row.tiers == listed.tiers and row.source == listed.source


def _new_row(listed: ListedPrice, **owner: Any) -> Price:
    return Price(**owner, **listed.rates, tiers=listed.tiers, source=listed.source, version=listed.version)


def price_remote_model(upstream_id: str, name: str, sources: Sequence[PriceSource] | None = None) -> Prices | None:
    """Look up and store the price of a remote name at one upstream. `None` if no source knows it or the upstream does not exist."""
    upstream = Upstream.objects.filter(pk=upstream_id).first()
    listed = _look_up(sources or SOURCES, name, place_of(upstream)) if upstream else None
    if listed is None:
        return None
    row = _new_row(listed, name=name, upstream_id=upstream_id)
    row.save()
    return price_book.prices_from_row(row)

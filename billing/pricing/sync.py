"""Write prices from price data into the database: for one model when it is created, for all models on request, for single remote names.

A price that changed gets a new row; its old row stays, inactive, because log rows refer to it. Prices that were entered by hand are
never changed. A price that no source has any more stays active.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from billing.models import Price
from billing.pricing import price_book
from billing.pricing.sources import ListedPrice, PriceSource, look_up_genai_price
from billing.rates import CLASSES, Prices
from upstreams.models import Model, Upstream

BUNDLED: tuple[PriceSource, ...] = (look_up_genai_price,)
PATTERN = "*"

ListedPrices = Mapping[UUID | None, ListedPrice]
"""The prices of a model by upstream id; the key `None` means any upstream."""


def sync_all(sources: Sequence[PriceSource] = BUNDLED) -> dict[str, int]:
    """Update the prices of all models; each takes the price of the first source that knows it.

    Returns `models_updated` (models with a price in a source), `models_not_found` and `total_models`, as the management API shows them.
    """
    counts = {"models_updated": 0, "models_not_found": 0, "total_models": 0}
    for model in Model.objects.prefetch_related("routes__upstream"):
        prices = _listed_prices(model, sources)
        _store(model, prices)
        counts["total_models"] += 1
        counts["models_updated" if prices else "models_not_found"] += 1
    return counts


def sync_model(model: Model, sources: Sequence[PriceSource] = BUNDLED) -> int:
    """Update the prices of one model; return the number of prices that are new or changed."""
    return _store(model, _listed_prices(model, sources))


def _listed_prices(model: Model, sources: Sequence[PriceSource]) -> ListedPrices:
    """The prices of a model in the sources, by the upstreams of its routes.

    If all upstreams have the same price, it is returned once, for any upstream: routes that are added later then have it, too.
    """
    routes = list(model.routes.all())
    lookups: dict[UUID | None, tuple[str, str]] = {
        route.upstream_id: (route.remote_name or model.name, route.upstream.base_url) for route in routes
    }
    if not lookups:
        lookups = {None: (model.name, "")}
    results = {upstream_id: _look_up(sources, *lookup) for upstream_id, lookup in lookups.items()}
    prices = {upstream_id: listed for upstream_id, listed in results.items() if listed is not None}
    first = next(iter(prices.values()), None)
    if first is not None and len(prices) == len(results) and all(listed == first for listed in prices.values()):
        return {None: first}
    return prices


def _look_up(sources: Sequence[PriceSource], name: str, base_url: str) -> ListedPrice | None:
    if PATTERN in name:
        return None  # many models: each remote name is priced when it first occurs (`late_prices`)
    return next((listed for source in sources if (listed := source(name, base_url)) is not None), None)


def _store(model: Model, prices: ListedPrices) -> int:
    """Make these the active prices of a model that are not manual; return the number of new rows. Equal rows stay as they are."""
    if not prices:
        return 0
    with transaction.atomic():
        stored = Price.objects.filter(model=model, is_active=True).exclude(source=Price.Source.MANUAL)
        unchanged = set()
        for row in stored:
            listed = prices.get(row.upstream_id)
            if listed is not None and _is_same(row, listed) and row.upstream_id not in unchanged:
                unchanged.add(row.upstream_id)
            elif listed is not None or None in (row.upstream_id, *prices):
                Price.objects.filter(pk=row.pk).update(is_active=False)
        new = [upstream_id for upstream_id in prices if upstream_id not in unchanged]
        for upstream_id in new:
            _new_row(prices[upstream_id], model=model, upstream_id=upstream_id).save()
    return len(new)


def _is_same(row: Price, listed: ListedPrice) -> bool:
    rates = {name: getattr(row, name) for name in CLASSES if getattr(row, name) is not None}
    return rates == listed.rates and row.tiers == listed.tiers and row.source == listed.source


def _new_row(listed: ListedPrice, **owner: Any) -> Price:
    return Price(**owner, **listed.rates, tiers=listed.tiers, source=listed.source, version=listed.version)


def price_remote_model(upstream_id: str, name: str, sources: Sequence[PriceSource] = BUNDLED) -> Prices | None:
    """Look up and store the price of a remote name at one upstream. `None` if no source knows it or the upstream does not exist."""
    upstream = Upstream.objects.filter(pk=upstream_id).first()
    listed = _look_up(sources, name, upstream.base_url) if upstream else None
    if listed is None:
        return None
    row = _new_row(listed, name=name, upstream_id=upstream_id)
    row.save()
    return price_book.prices_from_row(row)

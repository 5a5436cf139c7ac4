"""Fill the price book from price data: for one model when it is made, for all of them when told to, for names as they turn up.

A price that changed gets a new row and its old row stays, inactive: log rows point at what they were billed at. Prices that
were entered by hand are never touched, and a price that no source knows any more stays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from django.db import transaction

from billing.models import Price
from billing.pricing import price_book
from billing.pricing.sources import Listed, Source, genai_prices
from billing.rates import CLASSES, Prices
from upstreams.models import Model, Route, Upstream

BUNDLED: tuple[Source, ...] = (genai_prices,)
PATTERN = "*"

Wanted = Mapping[UUID | None, Listed]
"""The listed price of a model at each upstream, or at any (`None`)."""


def sync(sources: Sequence[Source] = BUNDLED) -> dict[str, int]:
    """Look every model up; the first source that knows it is believed."""
    counts = {"models_updated": 0, "models_not_found": 0, "total_models": 0}
    for model in Model.objects.prefetch_related("routes__upstream"):
        wanted = _wanted(model, sources)
        _reconcile(model, wanted)
        counts["total_models"] += 1
        counts["models_updated" if wanted else "models_not_found"] += 1
    return counts


def attach(model: Model, sources: Sequence[Source] = BUNDLED) -> int:
    """Look one model up; the number of price lists that are new or changed."""
    return _reconcile(model, _wanted(model, sources))


def _wanted(model: Model, sources: Sequence[Source]) -> Wanted:
    """What the sources say of a model. Upstreams that agree share one price, which then holds for further routes as well."""
    routes = list(model.routes.all())
    places: dict[UUID | None, tuple[str, str]] = {
        route.upstream_id: (_remote_name(route, model), route.upstream.base_url) for route in routes
    }
    if not places:
        places = {None: (model.name, "")}
    found = {upstream: _look_up(sources, *place) for upstream, place in places.items()}
    known = {upstream: listed for upstream, listed in found.items() if listed is not None}
    first = next(iter(known.values()), None)
    if first is not None and len(known) == len(found) and all(listed == first for listed in known.values()):
        return {None: first}
    return known


def _remote_name(route: Route, model: Model) -> str:
    return route.remote_name or model.name


def _look_up(sources: Sequence[Source], name: str, base_url: str) -> Listed | None:
    if PATTERN in name:
        return None  # many models; each gets its price when it turns up
    return next((listed for source in sources if (listed := source(name, base_url)) is not None), None)


def _reconcile(model: Model, wanted: Wanted) -> int:
    """Make the stored prices of a model what is wanted; nothing is written if they are so already."""
    if not wanted:
        return 0
    with transaction.atomic():
        stored = Price.objects.filter(model=model, is_active=True).exclude(source=Price.Source.MANUAL)
        kept = set()
        for row in stored:
            listed = wanted.get(row.upstream_id)
            if listed is not None and _is_same(row, listed) and row.upstream_id not in kept:
                kept.add(row.upstream_id)
            elif listed is not None or None in (row.upstream_id, *wanted):
                Price.objects.filter(pk=row.pk).update(is_active=False)
        new = [upstream_id for upstream_id in wanted if upstream_id not in kept]
        for upstream_id in new:
            _price(wanted[upstream_id], model=model, upstream_id=upstream_id).save()
    return len(new)


def _is_same(row: Price, listed: Listed) -> bool:
    rates = {name: getattr(row, name) for name in CLASSES if getattr(row, name) is not None}
    return rates == listed.rates and row.tiers == listed.tiers and row.source == listed.source


def _price(listed: Listed, **place: Any) -> Price:
    return Price(**place, **listed.rates, tiers=listed.tiers, source=listed.source, version=listed.version)


def discover(upstream_id: str, name: str, sources: Sequence[Source] = BUNDLED) -> Prices | None:
    """Look up and store the price of a model of one upstream by its remote name; ``None`` where no source knows it."""
    upstream = Upstream.objects.filter(pk=upstream_id).first()
    listed = _look_up(sources, name, upstream.base_url) if upstream else None
    if listed is None:
        return None
    row = _price(listed, name=name, upstream_id=upstream_id)
    row.save()
    return price_book.prices_of(row)

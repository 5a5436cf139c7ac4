"""``/api/v1/models``: the names that clients use, with their routes and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from ninja import Router

from accounts.common.api_envelope import Refused, data, stored, timestamp, uuid_of
from accounts.common.api_schema import Created, Data, Deleted, Done, Id, answers, created
from billing.api.model_schema import Discover, Import, Imported, ModelFields, NewModel, Offer, ShownModel, Synchronised, Wanted
from billing.pricing import price_book, sync
from proxy.translation.dialects.upstream_api import ListedModel
from upstreams.api.upstreams import Ids, deleted
from upstreams.api.upstreams import found as found_upstream
from upstreams.api.upstreams import shown as shown_upstream
from upstreams.models import Model, Route, Upstream
from upstreams.monitoring import discovery

router = Router(tags=["models"])

ELSEWHERE = frozenset({"upstream_id", "remote_name", "input_cost_per_million", "output_cost_per_million"})
"""Fields that are kept in a route and in a price."""
PLAIN = tuple(name for name in ModelFields.model_fields if name not in ELSEWHERE)
CLEARED_BY_NULL: dict[str, Any] = {
    "display_name": None,
    "provider": "",
    "aliases": [],
    "context_window": None,
    "max_output_tokens": None,
    "path_prefix": "",
    "fallbacks": [],
    "timeout_seconds": None,
    "cooldown_seconds": None,
    "hedge_after_ms": None,
    "max_tokens_default": None,
    "max_tokens_cap": None,
    "temperature": None,
    "system_replacements": {},
    "system_append": "",
    "body_defaults": {},
    "body_extensions": {},
    "tool_enforcement": {},
    "quirks": {},
}
"""What ``null`` stands for; for the other fields it means unchanged."""


@router.get("", response=answers(Data[list[ShownModel]]))
def list_models(request: HttpRequest) -> dict[str, Any]:
    """All models by name."""
    rows = list(Model.objects.order_by("name", "path_prefix").prefetch_related("routes"))
    shown_prices = price_book.shown_for(rows)
    return data([shown(row, shown_prices.get(row.pk)) for row in rows])


@router.post("", response=answers(Data[ShownModel], 201))
def create_model(request: HttpRequest, body: NewModel) -> Created:
    """Make a model; with ``upstream_id`` a route to it is made too."""
    if not body.name:
        raise Refused("invalid_request", "Name is required")
    row = Model()
    with transaction.atomic():
        _assign(row, body)
        stored(row)
        _set_route(row, body)
        _set_prices(row, body)
    return created(data(one(row)))


@router.post("/bulk-delete", response=answers(Data[Deleted]))
def delete_models(request: HttpRequest, body: Ids) -> dict[str, Any]:
    """Delete several models."""
    return data({"deleted": deleted(Model, body.ids)})


@router.post("/discover", response=answers(Data[list[Offer]], upstream=True))
def discover(request: HttpRequest, body: Discover) -> dict[str, Any]:
    """What an upstream offers."""
    return data([{"id": each.name, "owned_by": each.provider} for each in _offered(body)])


@router.post("/import", response=answers(Data[Imported], 201))
def import_models(request: HttpRequest, body: Import) -> Created:
    """Make models with a route to the upstream; names that exist already are skipped."""
    upstream = found_upstream(_required_upstream(body.upstream_id))
    if not body.models:
        raise Refused("invalid_request", "At least one model is required")
    wanted = [Wanted(name=each) if isinstance(each, str) else each for each in body.models]
    made = discovery.import_models(upstream, [ListedModel(name=each.name, provider=each.provider or "") for each in wanted])
    for row in Model.objects.filter(path_prefix="", name__in=made.created):
        sync.attach(row)
    counts = {"upstream": shown_upstream(upstream), "models_created": len(made.created), "models_skipped": len(made.skipped)}
    return created(data(counts))


@router.post("/sync-pricing", response=answers(Data[Synchronised], upstream=True))
def sync_pricing(request: HttpRequest) -> dict[str, Any]:
    """Give every model the price that the bundled price data have for it; manual prices stay."""
    return data(sync.sync())


# Behind the fixed paths, which the pattern would hide.


@router.get("/{model_id}", response=answers(Data[ShownModel]))
def get_model(request: HttpRequest, model_id: Id) -> dict[str, Any]:
    """One model."""
    return data(one(found(model_id)))


@router.patch("/{model_id}", response=answers(Data[Done]))
def update_model(request: HttpRequest, model_id: Id, body: ModelFields) -> dict[str, Any]:
    """Change a model; ``upstream_id`` moves its first route, and ``null`` there switches its routes off."""
    row = found(model_id)
    with transaction.atomic():
        _assign(row, body)
        stored(row)
        _set_route(row, body)
        _set_prices(row, body)
    return data({"status": "updated"})


@router.delete("/{model_id}", response=answers(Data[Done]))
def delete_model(request: HttpRequest, model_id: Id) -> dict[str, Any]:
    """Delete a model with its routes."""
    found(model_id).delete()
    return data({"status": "deleted"})


def _required_upstream(upstream_id: str | None) -> str:
    if not upstream_id:
        raise Refused("invalid_request", "upstream_id is required")
    uuid_of(upstream_id, "Invalid upstream_id format")
    return upstream_id


def _offered(body: Discover) -> list[ListedModel]:
    upstream = found_upstream(_required_upstream(body.upstream_id))
    try:
        return discovery.list_models(upstream)
    except discovery.DiscoveryFailed as error:
        raise Refused("upstream_error", str(error)) from None


def found(model_id: str) -> Model:
    """The model of an id; raises :class:`Refused`."""
    row: Model | None = Model.objects.filter(pk=uuid_of(model_id)).first()
    if row is None:
        raise Refused("not_found", "Model not found")
    return row


def _assign(row: Model, body: ModelFields) -> None:
    given = body.model_dump(exclude_unset=True)
    if given.get("path_prefix"):
        given["path_prefix"] = "/" + given["path_prefix"].strip("/")
    for field in PLAIN:
        if field not in given:
            continue
        value = given[field]
        if value is not None:
            setattr(row, field, value)
        elif field in CLEARED_BY_NULL:
            setattr(row, field, CLEARED_BY_NULL[field])


def _set_route(row: Model, body: ModelFields) -> None:
    given = body.model_dump(exclude_unset=True)
    if "upstream_id" in given and not given["upstream_id"]:
        row.routes.update(is_active=False)  # kept, so that the model can be given its upstream again with its name there
    route = row.routes.order_by("-is_active", "priority", "created_at").first()
    if given.get("upstream_id"):
        route = route or Route(model=row)
        route.upstream, route.is_active = _named_upstream(given["upstream_id"]), True
    if route is None:
        return
    if "remote_name" in given:
        route.remote_name = given["remote_name"] or ""
    stored(route)


def _named_upstream(upstream_id: str) -> Upstream:
    """The upstream that a body names; one that does not exist is a mistake in the body."""
    row: Upstream | None = Upstream.objects.filter(pk=uuid_of(upstream_id, "Invalid upstream_id format")).first()
    if row is None:
        raise Refused("invalid_request", "upstream_id: there is no such upstream")
    return row


def _set_prices(row: Model, body: ModelFields) -> None:
    """Manual prices, where any is given and differs from what is shown; 0 and 0 mean none."""
    given = body.model_dump(exclude_unset=True)
    if given.get("input_cost_per_million") is None and given.get("output_cost_per_million") is None:
        return
    current = price_book.shown_for([row]).get(row.pk)
    known = (current.input or Decimal(0), current.output or Decimal(0)) if current else (Decimal(0), Decimal(0))
    wanted = tuple(
        known[place] if given.get(field) is None else Decimal(str(given[field]))
        for place, field in enumerate(("input_cost_per_million", "output_cost_per_million"))
    )
    if wanted != known:
        price_book.set_manual(row, input_price=wanted[0], output_price=wanted[1])


def one(row: Model) -> dict[str, Any]:
    """A single model as the API shows it."""
    return shown(row, price_book.shown_for([row]).get(row.pk))


def shown(row: Model, price: price_book.Shown | None) -> dict[str, Any]:
    """A model as the API shows it; its first route stands for "the" upstream. An unknown price shows as 0."""
    route = next(iter(sorted(row.routes.all(), key=lambda each: (not each.is_active, each.priority, each.created_at))), None)
    return {
        "id": str(row.id),
        **{field: getattr(row, field) for field in PLAIN},
        "upstream_id": str(route.upstream_id) if route and route.is_active else None,
        "remote_name": route.remote_name if route else "",
        "input_cost_per_million": float(price.input or 0) if price else 0,
        "output_cost_per_million": float(price.output or 0) if price else 0,
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
    }

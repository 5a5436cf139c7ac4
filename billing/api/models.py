"""``/api/v1/models``: the names that clients use, with their routes and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.http import HttpRequest
from ninja import Router

from accounts.common.api_envelope import ApiError, data_envelope, parse_uuid, require
from accounts.common.api_resource import Resource
from accounts.common.api_schema import ActionResult, CreatedResponse, Data, Deleted, Id, Ids, created_response, responses
from accounts.common.api_validation import save_validated
from billing.api.model_schema import (
    Discover,
    Import,
    ImportCandidate,
    Imported,
    ModelFields,
    ModelToImport,
    NewModel,
    ShownModel,
    Synchronised,
)
from billing.pricing import price_book, price_file, sync
from billing.pricing.fetch import FetchFailed
from billing.pricing.price_book import PriceKey, PriceState
from proxy.translation.dialects.upstream_api import ListedModel
from upstreams.api.upstreams import upstreams
from upstreams.models import Model, Route, Upstream
from upstreams.monitoring import discovery

router = Router(tags=["models"])


class Models(Resource[Model, ModelFields]):
    """Models by name. The first route of a model is shown as "the" upstream."""

    table = Model
    schema = ShownModel
    title = "Model"
    order = ("name", "path_prefix")

    def column_values(self, body: ModelFields) -> dict[str, Any]:
        """With the slashes of the path prefix."""
        values = super().column_values(body)
        if values.get("path_prefix"):
            values["path_prefix"] = "/" + values["path_prefix"].strip("/")
        return values

    def after_save(self, row: Model, body: ModelFields) -> None:
        """Write the first route and the manual prices."""
        _set_route(row, body)
        _set_prices(row, body)

    def computed_values(self, row: Model) -> dict[str, Any]:
        """What a response shows of the first route and of the prices."""
        return _route_and_prices(row, price_book.model_prices([row]).get(row.pk), price_book.load())


models = Models()


@router.get("", response=responses(Data[list[ShownModel]]))
def list_models(request: HttpRequest) -> dict[str, Any]:
    """All models by name."""
    rows = list(models.rows().prefetch_related("routes"))
    prices, book = price_book.model_prices(rows), price_book.load()
    return data_envelope([models.show(row, _route_and_prices(row, prices.get(row.pk), book)) for row in rows])


@router.post("", response=responses(Data[ShownModel], 201))
def create_model(request: HttpRequest, body: NewModel) -> CreatedResponse:
    """Create a model; with ``upstream_id`` also a route to that upstream."""
    require(body.name, "Name is required")
    return models.create(body)


@router.post("/bulk-delete", response=responses(Data[Deleted]))
def delete_models(request: HttpRequest, body: Ids) -> dict[str, Any]:
    """Delete several models."""
    return models.delete_many(body.ids)


@router.post("/discover", response=responses(Data[list[ImportCandidate]], upstream=True))
def discover(request: HttpRequest, body: Discover) -> dict[str, Any]:
    """The models that an upstream lists."""
    try:
        listed = discovery.list_models(_required_upstream(body.upstream_id))
    except discovery.DiscoveryFailed as error:
        raise ApiError("upstream_error", str(error)) from None
    return data_envelope([{"id": model.name, "owned_by": model.provider} for model in listed])


@router.post("/import", response=responses(Data[Imported], 201))
def import_models(request: HttpRequest, body: Import) -> CreatedResponse:
    """Create models with a route to the upstream; names that exist already are skipped."""
    upstream = _required_upstream(body.upstream_id)
    require(body.models, "At least one model is required")
    models_to_import = [ModelToImport(name=model) if isinstance(model, str) else model for model in body.models]
    listed = [ListedModel(name=model.name, provider=model.provider or "") for model in models_to_import]
    imported = discovery.import_models(upstream, listed)
    counts = {"models_created": len(imported.created), "models_skipped": len(imported.skipped)}
    return created_response(data_envelope({"upstream": upstreams.show(upstream), **counts}))


@router.post("/sync-pricing", response=responses(Data[Synchronised], upstream=True))
def sync_pricing(request: HttpRequest) -> dict[str, Any]:
    """Give every model the price that price data have for it; manual prices stay."""
    try:
        price_file.refresh()
    except FetchFailed as error:
        raise ApiError("upstream_error", str(error)) from None
    return data_envelope(sync.sync_all())


# Paths with an id come after the fixed paths, which they would match too.


@router.get("/{model_id}", response=responses(Data[ShownModel]))
def get_model(request: HttpRequest, model_id: Id) -> dict[str, Any]:
    """One model."""
    return models.get(model_id)


@router.patch("/{model_id}", response=responses(Data[ActionResult]))
def update_model(request: HttpRequest, model_id: Id, body: ModelFields) -> dict[str, Any]:
    """Change a model; ``upstream_id`` moves its first route, and ``null`` there switches its routes off."""
    return models.update(model_id, body)


@router.delete("/{model_id}", response=responses(Data[ActionResult]))
def delete_model(request: HttpRequest, model_id: Id) -> dict[str, Any]:
    """Delete a model with its routes."""
    return models.delete(model_id)


def _required_upstream(upstream_id: str | None) -> Upstream:
    if not upstream_id:
        raise ApiError("invalid_request", "upstream_id is required")
    parse_uuid(upstream_id, "Invalid upstream_id format")
    return upstreams.find(upstream_id)


def _set_route(row: Model, body: ModelFields) -> None:
    names = body.model_fields_set
    if "upstream_id" in names and body.upstream_id is None:
        row.routes.update(is_active=False)  # not deleted: with its upstream the model gets the remote name back
    route = row.routes.order_by("-is_active", "priority", "created_at").first()
    if body.upstream_id is not None:
        upstream = _existing_upstream(body.upstream_id)
        # A model `acme/*` of the upstream acme is meant to reach what acme itself lists, without `acme/`.
        route = route or Route(model=row, remote_name="*" if row.name == f"{upstream.name}/*" else "")
        route.upstream, route.is_active = upstream, True
    if route is None:
        return
    if "remote_name" in names:
        route.remote_name = body.remote_name or ""
    save_validated(route)


def _existing_upstream(upstream_id: str) -> Upstream:
    """The upstream of a model's body; one that does not exist is a conflict with the body, not a missing resource."""
    row: Upstream | None = Upstream.objects.filter(pk=parse_uuid(upstream_id, "Invalid upstream_id format")).first()
    if row is None:
        raise ApiError("conflict", "upstream_id: there is no such upstream")
    return row


def _set_prices(row: Model, body: ModelFields) -> None:
    """Store manual prices if the body gives a price that differs from the one shown; 0 and 0 remove them."""
    if body.input_cost_per_million is None and body.output_cost_per_million is None:
        return
    price = price_book.model_prices([row]).get(row.pk)
    current = (price.input, price.output) if price else (None, None)
    new_prices = (body.input_cost_per_million, body.output_cost_per_million)
    input_price, output_price = (old if new is None else Decimal(str(new)) for old, new in zip(current, new_prices, strict=True))
    if (input_price or 0, output_price or 0) != (current[0] or 0, current[1] or 0):
        price_book.set_manual(row, input_price=input_price, output_price=output_price)


def _route_and_prices(row: Model, price: price_book.ModelPrice | None, book: price_book.PriceBook) -> dict[str, Any]:
    routes = sorted(row.routes.all(), key=lambda route: (not route.is_active, route.priority, route.created_at))
    route = routes[0] if routes else None
    return {
        "upstream_id": str(route.upstream_id) if route and route.is_active else None,
        "remote_name": route.remote_name if route else "",
        "price_state": _price_state(row, route, book),
        "input_cost_per_million": float(price.input or 0) if price else 0,
        "input_cost_per_million_usd": _decimal_text(price.input) if price else None,
        "output_cost_per_million": float(price.output or 0) if price else 0,
        "output_cost_per_million_usd": _decimal_text(price.output) if price else None,
    }


def _decimal_text(rate: Decimal | None) -> str | None:
    return None if rate is None else f"{rate.normalize():f}"


def _price_state(row: Model, route: Route | None, book: price_book.PriceBook) -> PriceState:
    """Whether requests that the first route serves have a price."""
    remote_name = (route.remote_name if route else "") or row.name
    prices = book.find(PriceKey(str(row.pk), str(route.upstream_id) if route else "", remote_name))
    if prices is None:
        return PriceState.UNPRICED
    return PriceState.FREE if prices.is_free else PriceState.PRICED

"""``/api/v1/models``: the names that clients use, with their routes and prices."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.db import transaction
from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict, Field

from accounts.envelope import Refused, data, stored, timestamp, uuid_of
from billing import price_sync, prices
from upstreams import discovery
from upstreams.api import Ids, deleted
from upstreams.api import found as found_upstream
from upstreams.api import shown as shown_upstream
from upstreams.models import Model, Route

router = Router(tags=["models"])

HIGHEST_PRICE = 1_000_000
"""In USD for a million tokens: a dollar for one."""

PLAIN = [
    "name",
    "display_name",
    "provider",
    "aliases",
    "context_window",
    "max_output_tokens",
    "is_active",
    "path_prefix",
    "strategy",
    "fallbacks",
    "timeout_seconds",
    "cooldown_seconds",
    "hedge_after_ms",
    "allow_anonymous",
    "max_tokens_default",
    "max_tokens_cap",
    "temperature",
    "system_replacements",
    "system_append",
    "inject_progress",
    "body_defaults",
    "body_extensions",
    "tool_enforcement",
    "repair_tool_history",
    "buffer_tool_calls",
    "smooth_streaming",
    "quirks",
]
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


class ModelFields(Schema):
    """What can be set on a model. A field left out stays as it is; prices are USD per million tokens."""

    model_config = ConfigDict(strict=True)

    name: str | None = None
    display_name: str | None = None
    provider: str | None = None
    upstream_id: str | None = None
    remote_name: str | None = None
    aliases: list[str] | None = None
    input_cost_per_million: float | None = Field(None, ge=0, le=HIGHEST_PRICE)
    output_cost_per_million: float | None = Field(None, ge=0, le=HIGHEST_PRICE)
    context_window: int | None = None
    max_output_tokens: int | None = None
    is_active: bool | None = None
    path_prefix: str | None = None
    strategy: str | None = None
    fallbacks: list[str] | None = None
    timeout_seconds: float | None = None
    cooldown_seconds: float | None = None
    hedge_after_ms: int | None = None
    allow_anonymous: bool | None = None
    max_tokens_default: int | None = None
    max_tokens_cap: int | None = None
    temperature: float | None = None
    system_replacements: dict[str, str] | None = None
    system_append: str | None = None
    inject_progress: bool | None = None
    body_defaults: dict[str, Any] | None = None
    body_extensions: dict[str, Any] | None = None
    tool_enforcement: dict[str, Any] | None = None
    repair_tool_history: bool | None = None
    buffer_tool_calls: bool | None = None
    smooth_streaming: bool | None = None
    quirks: dict[str, Any] | None = None


class Discover(Schema):
    """Which upstream to ask."""

    upstream_id: str | None = None


class Import(Schema):
    """Models to make, by name or with their provider."""

    upstream_id: str | None = None
    models: list[Any] = []


@router.get("")
def list_models(request: HttpRequest) -> dict[str, Any]:
    """All models by name."""
    rows = list(Model.objects.order_by("name", "path_prefix").prefetch_related("routes"))
    shown_prices = prices.shown_for(rows)
    return data([shown(row, shown_prices.get(row.pk)) for row in rows])


@router.post("", response={201: Any})
def create_model(request: HttpRequest, body: ModelFields) -> tuple[int, dict[str, Any]]:
    """Make a model; with ``upstream_id`` a route to it is made too."""
    if not body.name:
        raise Refused("invalid_request", "Name is required")
    row = Model()
    with transaction.atomic():
        _assign(row, body)
        stored(row)
        _set_route(row, body)
        _set_prices(row, body)
    return 201, data(one(row))


@router.post("/bulk-delete")
def delete_models(request: HttpRequest, body: Ids) -> dict[str, Any]:
    """Delete several models."""
    return data({"deleted": deleted(Model, body.ids)})


@router.post("/discover")
def discover(request: HttpRequest, body: Discover) -> dict[str, Any]:
    """What an upstream offers."""
    return data([{"id": each.name, "owned_by": each.provider} for each in _offered(body)])


@router.post("/import", response={201: Any})
def import_models(request: HttpRequest, body: Import) -> tuple[int, dict[str, Any]]:
    """Make models with a route to the upstream; names that exist already are skipped."""
    upstream = found_upstream(_required_upstream(body.upstream_id))
    if not body.models:
        raise Refused("invalid_request", "At least one model is required")
    made = discovery.import_models(upstream, [_wanted(each) for each in body.models])
    for row in Model.objects.filter(path_prefix="", name__in=made.created):
        price_sync.attach(row)
    counts = {"upstream": shown_upstream(upstream), "models_created": len(made.created), "models_skipped": len(made.skipped)}
    return 201, data(counts)


@router.post("/sync-pricing")
def sync_pricing(request: HttpRequest) -> dict[str, Any]:
    """Give every model the price that the bundled price data have for it; manual prices stay."""
    return data(price_sync.sync())


# Behind the fixed paths, which the pattern would hide.


@router.get("/{model_id}")
def get_model(request: HttpRequest, model_id: str) -> dict[str, Any]:
    """One model."""
    return data(one(found(model_id)))


@router.patch("/{model_id}")
def update_model(request: HttpRequest, model_id: str, body: ModelFields) -> dict[str, Any]:
    """Change a model; ``upstream_id`` moves its first route, and ``null`` there takes its routes away."""
    row = found(model_id)
    with transaction.atomic():
        _assign(row, body)
        stored(row)
        _set_route(row, body)
        _set_prices(row, body)
    return data({"status": "updated"})


@router.delete("/{model_id}")
def delete_model(request: HttpRequest, model_id: str) -> dict[str, Any]:
    """Delete a model with its routes."""
    found(model_id).delete()
    return data({"status": "deleted"})


def _required_upstream(upstream_id: str | None) -> str:
    if not upstream_id:
        raise Refused("invalid_request", "upstream_id is required")
    uuid_of(upstream_id, "Invalid upstream_id format")
    return upstream_id


def _offered(body: Discover) -> list[discovery.Listed]:
    upstream = found_upstream(_required_upstream(body.upstream_id))
    try:
        return discovery.list_models(upstream)
    except discovery.DiscoveryFailed as error:
        raise Refused("upstream_error", str(error)) from None


def _wanted(item: Any) -> discovery.Listed:
    if isinstance(item, str):
        item = {"name": item}
    if not isinstance(item, dict) or not isinstance(item.get("name"), str) or not item["name"]:
        raise Refused("invalid_request", "models: names, or objects with a name, are expected")
    return discovery.Listed(name=item["name"], provider=str(item.get("provider") or ""))


def found(model_id: str) -> Model:
    """The model of an id; raises :class:`Refused`."""
    row: Model | None = Model.objects.filter(pk=uuid_of(model_id)).first()
    if row is None:
        raise Refused("not_found", "Model not found")
    return row


def _assign(row: Model, body: ModelFields) -> None:
    given = body.model_dump(exclude_unset=True)
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
    route = row.routes.order_by("priority", "created_at").first()
    if "upstream_id" in given and given["upstream_id"] is None:
        row.routes.all().delete()
        return
    if given.get("upstream_id"):
        upstream = found_upstream(_required_upstream(given["upstream_id"]))
        route = route or Route(model=row)
        route.upstream = upstream
    if route is None:
        return
    if "remote_name" in given:
        route.remote_name = given["remote_name"] or ""
    stored(route)


def _set_prices(row: Model, body: ModelFields) -> None:
    """Manual prices, where any is given and differs from what is shown; 0 and 0 mean none."""
    given = body.model_dump(exclude_unset=True)
    if given.get("input_cost_per_million") is None and given.get("output_cost_per_million") is None:
        return
    current = prices.shown_for([row]).get(row.pk)
    known = (current.input or Decimal(0), current.output or Decimal(0)) if current else (Decimal(0), Decimal(0))
    wanted = tuple(
        known[place] if given.get(field) is None else Decimal(str(given[field]))
        for place, field in enumerate(("input_cost_per_million", "output_cost_per_million"))
    )
    if wanted != known:
        prices.set_manual(row, input_price=wanted[0], output_price=wanted[1])


def one(row: Model) -> dict[str, Any]:
    """A single model as the API shows it."""
    return shown(row, prices.shown_for([row]).get(row.pk))


def shown(row: Model, price: prices.Shown | None) -> dict[str, Any]:
    """A model as the API shows it; its first route stands for "the" upstream. An unknown price shows as 0."""
    route = next(iter(sorted(row.routes.all(), key=lambda each: (each.priority, each.created_at))), None)
    return {
        "id": str(row.id),
        **{field: getattr(row, field) for field in PLAIN},
        "upstream_id": str(route.upstream_id) if route else None,
        "remote_name": route.remote_name if route else "",
        "input_cost_per_million": float(price.input or 0) if price else 0,
        "output_cost_per_million": float(price.output or 0) if price else 0,
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
    }

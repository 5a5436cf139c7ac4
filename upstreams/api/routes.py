"""``/api/v1/routes``: which upstream serves a model, and under which name."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router, Schema

from accounts.common.api_envelope import require
from accounts.common.api_resource import Resource, shows
from accounts.common.api_schema import (
    ActionResult,
    Clearable,
    CreatedResponse,
    Data,
    Id,
    IdOrEmpty,
    Int32,
    Moment,
    Page,
    Paging,
    RequestBody,
    responses,
)
from upstreams.api.upstream_schema import Capabilities
from upstreams.models import Route

router = Router(tags=["routes"])


class RouteFields(RequestBody):
    """What can be set on a route."""

    table = Route

    model_id: Id | None = None
    upstream_id: Id | None = None
    remote_name: Clearable[str] = None
    priority: Int32 | None = None
    weight: Int32 | None = None
    is_active: bool | None = None
    context_window: Clearable[Int32] = None
    capabilities: Clearable[Capabilities] = None


class NewRoute(RouteFields):
    """A route to create."""

    needs = ("model_id", "upstream_id")


@shows(RouteFields, Route)
class ShownRoute(Schema):
    """A route. `vanished_at`: since when the upstream has not listed the model any more."""

    vanished_at: Moment | None


class RouteFilters(Paging):
    """Which routes."""

    model_id: IdOrEmpty | None = None
    upstream_id: IdOrEmpty | None = None


class Routes(Resource[Route, RouteFields]):
    """Routes, the preferred ones first."""

    table = Route
    schema = ShownRoute
    title = "Route"
    order = ("model__name", "priority", "upstream__priority", "-weight", "id")


routes = Routes()


@router.get("", response=responses(Page[ShownRoute]))
def list_routes(request: HttpRequest, filters: Query[RouteFilters]) -> dict[str, Any]:
    """All routes, the preferred ones first; of one model or one upstream where these are given."""
    return routes.page(filters)


@router.get("/{route_id}", response=responses(Data[ShownRoute]))
def get_route(request: HttpRequest, route_id: Id) -> dict[str, Any]:
    """One route."""
    return routes.get(route_id)


@router.post("", response=responses(Data[ShownRoute], 201))
def create_route(request: HttpRequest, body: NewRoute) -> CreatedResponse:
    """Let an upstream serve a model."""
    require(body.model_id and body.upstream_id, "model_id and upstream_id are required")
    return routes.create(body)


@router.patch("/{route_id}", response=responses(Data[ActionResult]))
def update_route(request: HttpRequest, route_id: Id, body: RouteFields) -> dict[str, Any]:
    """Change a route."""
    return routes.update(route_id, body)


@router.delete("/{route_id}", response=responses(Data[ActionResult]))
def delete_route(request: HttpRequest, route_id: Id) -> dict[str, Any]:
    """Delete a route."""
    return routes.delete(route_id)

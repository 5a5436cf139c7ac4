"""``/api/v1/routes`` and ``/api/v1/credentials``: which upstream serves a model, and with which keys."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, TypeVar

from django.db import models
from django.http import HttpRequest
from ninja import Query, Router, Schema
from pydantic import ConfigDict

from accounts.common.api_envelope import Refused, data, page_of, stored, timestamp, uuid_of
from accounts.common.api_schema import Body, Created, Data, Done, Id, Moment, Page, Paging, Whole, answers, created
from upstreams.api.upstreams import Secret
from upstreams.api.upstreams import found as found_upstream
from upstreams.models import Model, Route, UpstreamCredential
from upstreams.routing import credential_state, live_state
from upstreams.secrets import store

Row = TypeVar("Row", bound=models.Model)

routes = Router(tags=["routes"])
keys = Router(tags=["credentials"])

ROUTE_FIELDS = ("remote_name", "priority", "weight", "is_active", "context_window", "capabilities")
ROUTE_CLEARED: dict[str, Any] = {"remote_name": "", "context_window": None, "capabilities": {}}
"""What ``null`` stands for; for the other fields it means unchanged."""


class RouteFields(Body):
    """What can be set on a route."""

    model_id: Id | None = None
    upstream_id: Id | None = None
    remote_name: str | None = None
    priority: Whole | None = None
    weight: Whole | None = None
    is_active: bool | None = None
    context_window: Whole | None = None
    capabilities: dict[str, bool] | None = None


class NewRoute(RouteFields):
    """A route to be made."""

    model_config = ConfigDict(json_schema_extra={"required": ["model_id", "upstream_id"]})


class ShownRoute(Schema):
    """A route. `vanished_at`: since when the upstream has not listed the model any more."""

    id: Id
    model_id: Id
    upstream_id: Id
    remote_name: str
    priority: int
    weight: int
    is_active: bool
    context_window: int | None
    capabilities: dict[str, bool]
    vanished_at: Moment | None
    created_at: Moment
    updated_at: Moment


class CredentialFields(Body):
    """What can be set on a credential. The key is never shown again."""

    upstream_id: Id | None = None
    name: str | None = None
    api_key: Secret | None = None
    access_key_id: str | None = None
    priority: Whole | None = None
    is_active: bool | None = None


class NewCredential(CredentialFields):
    """A credential to be made."""

    model_config = ConfigDict(json_schema_extra={"required": ["upstream_id", "api_key"]})


class ShownCredential(Schema):
    """A credential with its state. `cooling_until`: it rests until then; `disabled_reason`: why it was switched off by itself."""

    id: Id
    upstream_id: Id
    name: str
    access_key_id: str
    priority: int
    is_active: bool
    cooling_until: Moment | None
    disabled_reason: str | None
    last_used_at: Moment | None
    created_at: Moment
    updated_at: Moment


# --- routes ------------------------------------------------------------------------------------------------------------


@routes.get("", response=answers(Page[ShownRoute]))
def list_routes(request: HttpRequest, paging: Query[Paging], model_id: Id | None = None, upstream_id: Id | None = None) -> dict[str, Any]:
    """All routes, the preferred ones first; of one model or one upstream where these are given."""
    rows = Route.objects.order_by("model__name", "priority", "upstream__priority", "-weight", "id")
    if model_id:
        rows = rows.filter(model_id=uuid_of(model_id))
    if upstream_id:
        rows = rows.filter(upstream_id=uuid_of(upstream_id))
    return page_of(rows, request.GET, shown=shown_route)


@routes.get("/{route_id}", response=answers(Data[ShownRoute]))
def get_route(request: HttpRequest, route_id: Id) -> dict[str, Any]:
    """One route."""
    return data(shown_route(_found(Route, route_id, "Route")))


@routes.post("", response=answers(Data[ShownRoute], 201))
def create_route(request: HttpRequest, body: NewRoute) -> Created:
    """Let an upstream serve a model."""
    if not body.model_id or not body.upstream_id:
        raise Refused("invalid_request", "model_id and upstream_id are required")
    row = Route()
    _assign_route(row, body)
    stored(row)
    return created(data(shown_route(row)))


@routes.patch("/{route_id}", response=answers(Data[Done]))
def update_route(request: HttpRequest, route_id: Id, body: RouteFields) -> dict[str, Any]:
    """Change a route."""
    row = _found(Route, route_id, "Route")
    _assign_route(row, body)
    stored(row)
    return data({"status": "updated"})


@routes.delete("/{route_id}", response=answers(Data[Done]))
def delete_route(request: HttpRequest, route_id: Id) -> dict[str, Any]:
    """Delete a route."""
    _found(Route, route_id, "Route").delete()
    return data({"status": "deleted"})


def _assign_route(row: Route, body: RouteFields) -> None:
    given = body.model_dump(exclude_unset=True)
    if given.get("model_id"):
        row.model = _found(Model, given["model_id"], "Model")
    if given.get("upstream_id"):
        row.upstream = found_upstream(given["upstream_id"])
    for field in ROUTE_FIELDS:
        if field in given and given[field] is not None:
            setattr(row, field, given[field])
        elif field in given and field in ROUTE_CLEARED:
            setattr(row, field, ROUTE_CLEARED[field])


def shown_route(row: Route) -> dict[str, Any]:
    """A route as the API shows it."""
    return {
        "id": str(row.id),
        "model_id": str(row.model_id),
        "upstream_id": str(row.upstream_id),
        **{field: getattr(row, field) for field in ROUTE_FIELDS},
        "vanished_at": timestamp(row.vanished_at),
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
    }


# --- credentials ---------------------------------------------------------------------------------------------------------


@keys.get("", response=answers(Page[ShownCredential]))
def list_credentials(request: HttpRequest, paging: Query[Paging], upstream_id: Id | None = None) -> dict[str, Any]:
    """All credentials, or those of one upstream, with their state; never the keys themselves."""
    rows = UpstreamCredential.objects.order_by("upstream__name", "priority", "created_at", "id")
    if upstream_id:
        rows = rows.filter(upstream_id=uuid_of(upstream_id))
    return page_of(rows, request.GET, shown=shown_credential)


@keys.get("/{credential_id}", response=answers(Data[ShownCredential]))
def get_credential(request: HttpRequest, credential_id: Id) -> dict[str, Any]:
    """One credential."""
    return data(shown_credential(_found(UpstreamCredential, credential_id, "Credential")))


@keys.post("", response=answers(Data[ShownCredential], 201))
def create_credential(request: HttpRequest, body: NewCredential) -> Created:
    """Give an upstream another key."""
    if not body.upstream_id or not body.api_key:
        raise Refused("invalid_request", "upstream_id and api_key are required")
    row = UpstreamCredential(upstream=found_upstream(body.upstream_id))
    _assign_credential(row, body)
    stored(row)
    return created(data(shown_credential(row)))


@keys.patch("/{credential_id}", response=answers(Data[Done]))
def update_credential(request: HttpRequest, credential_id: Id, body: CredentialFields) -> dict[str, Any]:
    """Change a credential. ``is_active: true`` also brings back one that was disabled or is cooling."""
    row = _found(UpstreamCredential, credential_id, "Credential")
    _assign_credential(row, body)
    stored(row)
    if body.is_active or body.api_key:
        credential_state.enable(str(row.id), str(row.upstream_id))
    return data({"status": "updated"})


@keys.delete("/{credential_id}", response=answers(Data[Done]))
def delete_credential(request: HttpRequest, credential_id: Id) -> dict[str, Any]:
    """Delete a credential."""
    _found(UpstreamCredential, credential_id, "Credential").delete()
    return data({"status": "deleted"})


def _assign_credential(row: UpstreamCredential, body: CredentialFields) -> None:
    given = body.model_dump(exclude_unset=True)
    if given.get("upstream_id"):
        row.upstream = found_upstream(given["upstream_id"])
    for field in ("name", "access_key_id", "priority", "is_active"):
        if given.get(field) is not None:
            setattr(row, field, given[field])
    if body.api_key:
        store.set_secret(row, body.api_key)


def shown_credential(row: UpstreamCredential) -> dict[str, Any]:
    """A credential as the API shows it. ``cooling_until`` is the latest end of any of its cooldowns, ``null`` when rested."""
    known = datetime.fromtimestamp(live_state.current().cooldowns.credential_until(str(row.id), str(row.upstream_id)), UTC)
    until = max(known, row.cooling_until or known)
    return {
        "id": str(row.id),
        "upstream_id": str(row.upstream_id),
        "name": row.name,
        "access_key_id": row.access_key_id,
        "priority": row.priority,
        "is_active": row.is_active,
        "cooling_until": timestamp(until) if until > datetime.now(UTC) else None,
        "disabled_reason": row.disabled_reason or None,
        "last_used_at": timestamp(row.last_used_at),
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
    }


def _found(table: type[Row], identity: str, name: str) -> Row:
    row: Row | None = table._default_manager.filter(pk=uuid_of(identity)).first()  # noqa: SLF001  (Django's documented API)
    if row is None:
        raise Refused("not_found", f"{name} not found")
    return row

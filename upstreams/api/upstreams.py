"""``/api/v1/upstreams``: upstreams and their first credentials."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone
from ninja import Router

from accounts.common.api_envelope import ApiError, data_envelope, require, timestamp
from accounts.common.api_resource import Resource
from accounts.common.api_schema import ActionResult, CreatedResponse, Data, Deleted, Id, Ids, responses
from accounts.common.api_validation import save_validated, validate_fields
from proxy.translation.dialects.lookup import FORMATS
from proxy.translation.dialects.registry import DEFAULT
from upstreams.api.upstream_schema import (
    FORMAT_BY_DIALECT,
    Discovered,
    Health,
    HealthCheck,
    NewUpstream,
    ShownUpstream,
    UpstreamFields,
)
from upstreams.base_urls import tidy
from upstreams.http.urls import base_of
from upstreams.models import Upstream, UpstreamCredential
from upstreams.monitoring import discovery, health_check
from upstreams.presets import PRESETS, Preset, merge_preset
from upstreams.routing import live_state
from upstreams.secrets import store

router = Router(tags=["upstreams"])
presets = Router(tags=["upstreams"])

BAD_FORMAT = "Format must be " + " or ".join(f"'{name}'" for name in [*FORMATS][:2]) + "".join(f", or '{name}'" for name in [*FORMATS][2:])
"""It begins as that of pxbin, which has the first two formats only."""


class Upstreams(Resource[Upstream, UpstreamFields]):
    """Upstreams, the preferred ones first."""

    table = Upstream
    schema = ShownUpstream
    title = "Upstream"
    order = ("priority", "name")

    def column_values(self, body: UpstreamFields) -> dict[str, Any]:
        """With the fields of the preset that the body does not give, and ``format`` as the dialect's name."""
        values = super().column_values(body)
        if body.preset is not None:
            values = merge_preset(_preset(body.preset), values)
        if body.format is not None:
            values["dialect"] = _dialect(body.format)
        if None not in (body.endpoint, body.base_url) and body.endpoint != body.base_url:
            raise ApiError("conflict", "endpoint is another name of base_url; give one of them")
        if body.endpoint:
            values["base_url"] = body.endpoint
        return values

    def before_save(self, row: Upstream, body: UpstreamFields) -> None:
        """Set the regional base URL of an upstream that has a region only."""
        if not row.base_url and row.region:
            row.base_url = base_of(row)
        row.base_url = tidy(row.base_url)
        if isinstance(body, NewUpstream):
            require(row.name and row.base_url, "Name, base_url, and api_key are required")

    def after_save(self, row: Upstream, body: UpstreamFields) -> None:
        """The body's key becomes or replaces the first credential."""
        require(body.api_key or not body.session_token, "session_token needs api_key, the secret access key that it belongs to")
        if not body.api_key and body.access_key_id is None:
            return
        credential = row.credentials.order_by("priority", "created_at").first() or UpstreamCredential(upstream=row, name="default")
        if body.api_key:
            store.set_secret(credential, body.api_key, session_token=body.session_token or "")
        if body.access_key_id is not None:
            credential.access_key_id = body.access_key_id
        save_validated(credential)

    def computed_values(self, row: Upstream) -> dict[str, Any]:
        """The ``format`` of the dialect, and the state of the circuit breaker."""
        until = row.resting_until
        return {
            "format": FORMAT_BY_DIALECT[row.dialect],
            "circuit_breaker": live_state.current().breakers.state(str(row.id)),
            "resting_until": timestamp(until) if until is not None and until > timezone.now() else None,
        }


upstreams = Upstreams()


def _dialect(format_name: str) -> str:
    if format_name in FORMATS:
        return FORMATS[format_name]
    require(format_name in FORMAT_BY_DIALECT, BAD_FORMAT)
    return format_name


def _preset(name: str) -> Preset:
    require(name in PRESETS, f"Preset must be one of {', '.join(PRESETS)}")
    return PRESETS[name]


@presets.get("", response=responses(Data[list[dict[str, Any]]]))
def list_presets(request: HttpRequest) -> dict[str, Any]:
    """Settings of known providers: `preset` in a new upstream fills in the fields that its body does not give."""
    return data_envelope([_shown_preset(preset) for preset in PRESETS.values()])


def _shown_preset(preset: Preset) -> dict[str, Any]:
    shown = {"name": preset.name, "title": preset.title, "base_url": preset.base_url, "format": FORMAT_BY_DIALECT[preset.dialect]}
    return {**shown, "quirks": preset.quirks, **preset.fields, **({"note": preset.note} if preset.note else {})}


@router.get("", response=responses(Data[list[ShownUpstream]]))
def list_upstreams(request: HttpRequest) -> dict[str, Any]:
    """All upstreams, the preferred ones first."""
    return data_envelope([upstreams.show(row) for row in upstreams.rows()])


@router.post("", response=responses(Data[ShownUpstream], 201))
def create_upstream(request: HttpRequest, body: NewUpstream) -> CreatedResponse:
    """Create an upstream, with a first credential when a key is given."""
    return upstreams.create(body)


@router.post("/bulk-delete", response=responses(Data[Deleted]))
def delete_upstreams(request: HttpRequest, body: Ids) -> dict[str, Any]:
    """Delete several upstreams."""
    return upstreams.delete_many(body.ids)


@router.post("/health-check", response=responses(Data[Health]))
def check_health(request: HttpRequest, body: HealthCheck) -> dict[str, Any]:
    """Ask an upstream for its models and for one token of its test model, with each of its credentials."""
    if body.upstream_id:
        return data_envelope(health_check.check(upstreams.find(body.upstream_id)))
    if not body.base_url or not body.api_key:
        raise ApiError("invalid_request", "Provide upstream_id or base_url + api_key")
    row = Upstream(
        name="(not stored)", base_url=tidy(body.base_url), dialect=_dialect(body.format or DEFAULT.format), test_model=body.test_model or ""
    )
    validate_fields(row)
    return data_envelope(health_check.check_unsaved(row, api_key=body.api_key))


# Paths with an id come after the fixed paths, which they would match too.


@router.get("/{upstream_id}", response=responses(Data[ShownUpstream]))
def get_upstream(request: HttpRequest, upstream_id: Id) -> dict[str, Any]:
    """One upstream."""
    return upstreams.get(upstream_id)


@router.post("/{upstream_id}/discover", response=responses(Data[Discovered], upstream=True))
def discover(request: HttpRequest, upstream_id: Id) -> dict[str, Any]:
    """Create the models that the upstream lists and mark the routes whose names it no longer lists; nothing is deleted."""
    try:
        return data_envelope(discovery.discover(upstreams.find(upstream_id)))
    except discovery.DiscoveryFailed as failure:
        raise ApiError("upstream_error", str(failure)) from None


@router.patch("/{upstream_id}", response=responses(Data[ActionResult]))
def update_upstream(request: HttpRequest, upstream_id: Id, body: UpstreamFields) -> dict[str, Any]:
    """Change an upstream; a new ``api_key`` replaces that of its first credential."""
    return upstreams.update(upstream_id, body)


@router.delete("/{upstream_id}", response=responses(Data[ActionResult]))
def delete_upstream(request: HttpRequest, upstream_id: Id) -> dict[str, Any]:
    """Delete an upstream with its credentials and routes; log rows keep its name."""
    return upstreams.delete(upstream_id)

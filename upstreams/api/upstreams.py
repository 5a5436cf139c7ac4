"""``/api/v1/upstreams``: upstreams and their credentials by script."""

from __future__ import annotations

import uuid
from typing import Annotated, Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from ninja import Field, Router, Schema
from pydantic import AfterValidator, ConfigDict, WithJsonSchema
from pydantic_core import PydanticCustomError

from accounts.common.api_envelope import Refused, data, stored, timestamp, uuid_of, validated
from accounts.common.api_schema import Body, Created, Data, Deleted, Done, Id, Moment, Whole, answers, created
from proxy.translation.dialects.lookup import FORMATS
from upstreams.http import auth_headers
from upstreams.http.urls import base_of
from upstreams.models import Upstream, UpstreamCredential, header_value
from upstreams.monitoring import discovery, health_check
from upstreams.presets import PRESETS, Preset, filled
from upstreams.routing import live_state
from upstreams.routing.live_state import BreakerState

router = Router(tags=["upstreams"])
presets = Router(tags=["upstreams"])

FORMAT_OF = {dialect: word for word, dialect in FORMATS.items()}
"""The API's word for a dialect; our own words are understood too."""
BAD_FORMAT = "Format must be one of " + ", ".join(f"'{word}'" for word in FORMATS)
CLEARED_BY_NULL = {
    "region": "",
    "auth_header": "",
    "auth_scheme": "",
    "test_model": "",
    "extra_headers": {},
    "quirks": {},
    "capabilities": {},
}
"""What ``null`` stands for; for the other fields it means unchanged."""


def _one_line(text: str) -> str:
    try:
        header_value(text.strip())
    except DjangoValidationError as problem:
        raise PydanticCustomError("one_line", "{words}", {"words": problem.message}) from None
    return text


Secret = Annotated[str, AfterValidator(_one_line)]
"""An upstream's key, as a body has it."""
Format = Annotated[str, WithJsonSchema({"type": "string", "enum": list(FORMATS)})]
PresetName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(PRESETS)})]


class UpstreamFields(Body):
    """What can be set on an upstream. A field left out stays as it is."""

    name: str | None = None
    preset: PresetName | None = Field(None, description="Fills in what is not given; GET /presets shows them.")
    base_url: str | None = None
    endpoint: str | None = Field(None, description="Another word for base_url.")
    api_key: Secret | None = Field(None, description="Becomes or replaces the first credential; never shown again.")
    access_key_id: str | None = Field(None, description="Of AWS credentials; api_key is then the secret access key.")
    format: Format | None = None
    region: str | None = None
    priority: Whole | None = Field(None, description="A lower number is preferred.")
    is_active: bool | None = None
    auth_header: str | None = None
    auth_scheme: str | None = None
    extra_headers: dict[str, str] | None = None
    connect_timeout_seconds: float | None = None
    first_byte_timeout_seconds: float | None = None
    idle_timeout_seconds: float | None = None
    max_retries: Annotated[int, Field(le=2**15 - 1)] | None = None
    retry_base_delay_ms: Whole | None = None
    cooldown_seconds: float | None = None
    pass_client_credentials: bool | None = None
    test_model: str | None = None
    quirks: dict[str, Any] | None = None
    capabilities: dict[str, bool] | None = None


class NewUpstream(UpstreamFields):
    """An upstream to be made; a preset knows the address of most."""

    model_config = ConfigDict(json_schema_extra={"required": ["name"]})


class ShownUpstream(Schema):
    """An upstream; secrets never are shown."""

    id: Id
    name: str
    base_url: str
    format: Format
    region: str
    priority: int
    is_active: bool
    auth_header: str
    auth_scheme: str
    extra_headers: dict[str, str]
    connect_timeout_seconds: float
    first_byte_timeout_seconds: float
    idle_timeout_seconds: float
    max_retries: int
    retry_base_delay_ms: int
    cooldown_seconds: float
    pass_client_credentials: bool
    test_model: str
    quirks: dict[str, Any]
    capabilities: dict[str, bool]
    circuit_breaker: BreakerState = Field(description="As the process that answers knows it; with Redis, all know the same.")
    resting_until: Moment | None = Field(description="How long its breaker, or a cooldown of the whole upstream, keeps it back.")
    tested_at: Moment | None = Field(description="When a health check last called it.")
    test_error: str = Field(description="What was the matter then; empty: it was well, or was never tested.")
    created_at: Moment
    updated_at: Moment


class Discovered(Schema):
    """What discovery did: models made, and routes whose names are gone or back."""

    created: int
    vanished: int
    returned: int


class Ids(Body):
    """Rows to delete."""

    model_config = ConfigDict(json_schema_extra={"required": ["ids"]})

    ids: list[str] = []


class HealthCheck(Body):
    """Either an upstream, or the address and key of one that is not stored yet."""

    upstream_id: Id | None = None
    base_url: str | None = None
    api_key: Secret | None = None
    format: Format | None = None
    test_model: str | None = Field(None, description="Which model to ask for one token.")


class KeyHealth(Schema):
    """What a health check found with one credential. `status`: the one that refused it."""

    id: Id
    name: str
    healthy: bool
    error: str | None
    status: int | None


class Health(Schema):
    """What a health check found: with the preferred credential that works, or with the first one if none does."""

    healthy: bool
    models_found: int
    tested_model: str
    latency_ms: int
    error: str | None
    keys: list[KeyHealth] = Field(description="Each credential of a stored upstream that is switched on was tried.")


@presets.get("", response=answers(Data[list[dict[str, Any]]]))
def list_presets(request: HttpRequest) -> dict[str, Any]:
    """What is known of well-known endpoints: `preset` in a new upstream fills in what it does not say."""
    return data([_shown_preset(preset) for preset in PRESETS.values()])


def _shown_preset(preset: Preset) -> dict[str, Any]:
    known = {"name": preset.name, "title": preset.title, "base_url": preset.base_url, "format": FORMAT_OF[preset.dialect]}
    return {**known, "quirks": preset.quirks, **preset.fields, **({"note": preset.note} if preset.note else {})}


@router.get("", response=answers(Data[list[ShownUpstream]]))
def list_upstreams(request: HttpRequest) -> dict[str, Any]:
    """All upstreams, the preferred ones first."""
    return data([shown(row) for row in Upstream.objects.order_by("priority", "name")])


@router.post("", response=answers(Data[ShownUpstream], 201))
def create_upstream(request: HttpRequest, body: NewUpstream) -> Created:
    """Make an upstream, with a first credential when a key is given."""
    row = Upstream()
    with transaction.atomic():
        _assign(row, body)
        if not row.name or not row.base_url:
            raise Refused("invalid_request", "Name and base_url are required")
        stored(row)
        _set_credential(row, body)
    return created(data(shown(row)))


@router.post("/bulk-delete", response=answers(Data[Deleted]))
def delete_upstreams(request: HttpRequest, body: Ids) -> dict[str, Any]:
    """Delete several upstreams."""
    return data({"deleted": deleted(Upstream, body.ids)})


@router.post("/health-check", response=answers(Data[Health]))
def check_health(request: HttpRequest, body: HealthCheck) -> dict[str, Any]:
    """Ask an upstream for its models and for one token of its test model, with each of its credentials."""
    if body.upstream_id:
        return data(health_check.check(found(body.upstream_id)))
    if not body.base_url or not body.api_key:
        raise Refused("invalid_request", "Provide upstream_id or base_url + api_key")
    row = Upstream(name="(not stored)", base_url=body.base_url, dialect=_dialect(body.format or "openai"), test_model=body.test_model or "")
    validated(row)
    return data(health_check.check_unsaved(row, api_key=body.api_key))


# Behind the fixed paths, which the pattern would hide.


@router.get("/{upstream_id}", response=answers(Data[ShownUpstream]))
def get_upstream(request: HttpRequest, upstream_id: Id) -> dict[str, Any]:
    """One upstream."""
    return data(shown(found(upstream_id)))


@router.post("/{upstream_id}/discover", response=answers(Data[Discovered]))
def discover(request: HttpRequest, upstream_id: Id) -> dict[str, Any]:
    """Take up what an upstream lists now: new models are made, vanished ones marked; nothing is deleted."""
    try:
        return data(discovery.discover(found(upstream_id)))
    except discovery.DiscoveryFailed as failure:
        raise Refused("upstream_error", str(failure)) from None


@router.patch("/{upstream_id}", response=answers(Data[Done]))
def update_upstream(request: HttpRequest, upstream_id: Id, body: UpstreamFields) -> dict[str, Any]:
    """Change an upstream; a new ``api_key`` replaces that of its first credential."""
    row = found(upstream_id)
    with transaction.atomic():
        _assign(row, body)
        stored(row)
        _set_credential(row, body)
    return data({"status": "updated"})


@router.delete("/{upstream_id}", response=answers(Data[Done]))
def delete_upstream(request: HttpRequest, upstream_id: Id) -> dict[str, Any]:
    """Delete an upstream with its credentials and routes; log rows keep its name."""
    found(upstream_id).delete()
    return data({"status": "deleted"})


def found(upstream_id: str) -> Upstream:
    """The upstream of an id; raises :class:`Refused`."""
    row: Upstream | None = Upstream.objects.filter(pk=uuid_of(upstream_id)).first()
    if row is None:
        raise Refused("not_found", "Upstream not found")
    return row


def deleted(table: Any, ids: list[str]) -> int:
    """Delete the rows of ``ids`` and count them; raises :class:`Refused` for none and for what is no id."""
    if not ids:
        raise Refused("invalid_request", "At least one ID is required")
    identities: list[uuid.UUID] = [uuid_of(each, f"Invalid ID: {each}") for each in ids]
    rows = table.objects.filter(pk__in=identities)
    count: int = rows.count()
    rows.delete()
    return count


def _dialect(word: str) -> str:
    if word in FORMATS:
        return FORMATS[word]
    if word in FORMAT_OF:
        return word
    raise Refused("invalid_request", BAD_FORMAT)


def _assign(row: Upstream, body: UpstreamFields) -> None:
    given = body.model_dump(exclude_unset=True, exclude={"api_key", "access_key_id", "format", "endpoint", "preset"})
    if body.preset is not None:
        given = _with_preset(row, body.preset, given)
    for field, value in given.items():
        if value is not None:
            setattr(row, field, value)
        elif field in CLEARED_BY_NULL:
            setattr(row, field, CLEARED_BY_NULL[field])
    if body.format is not None:
        row.dialect = _dialect(body.format)
    if body.endpoint and not body.base_url:
        row.base_url = body.endpoint
    if not row.base_url and row.region:
        row.base_url = base_of(row)
    row.base_url = row.base_url.rstrip("/")


def _with_preset(row: Upstream, name: str, given: dict[str, Any]) -> dict[str, Any]:
    """The given fields, and the preset's where nothing was given; raises :class:`Refused` for a preset that does not exist."""
    preset = PRESETS.get(name)
    if preset is None:
        raise Refused("invalid_request", f"Preset must be one of {', '.join(PRESETS)}")
    values = filled(preset, given)
    row.dialect = values.pop("dialect")
    return values


def _set_credential(row: Upstream, body: UpstreamFields) -> None:
    if not body.api_key and body.access_key_id is None:
        return
    credential = row.credentials.order_by("priority", "created_at").first() or UpstreamCredential(upstream=row, name="default")
    if body.api_key:
        auth_headers.set_secret(credential, body.api_key)
    if body.access_key_id is not None:
        credential.access_key_id = body.access_key_id
    stored(credential)


def shown(row: Upstream) -> dict[str, Any]:
    """An upstream as the API shows it; secrets never are."""
    until = row.resting_until
    made_up = {
        "id": str(row.id),
        "format": FORMAT_OF.get(row.dialect, row.dialect),
        "circuit_breaker": live_state.current().breakers.state(str(row.id)),
        "resting_until": timestamp(until) if until is not None and until > timezone.now() else None,
        "tested_at": timestamp(row.tested_at),
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
    }
    return {field: made_up[field] if field in made_up else getattr(row, field) for field in ShownUpstream.model_fields}

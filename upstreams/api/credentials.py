"""``/api/v1/credentials``: the keys with which upstreams are called."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema

from accounts.common.api_envelope import require, timestamp
from accounts.common.api_resource import Resource, shows
from accounts.common.api_schema import (
    ActionResult,
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
from accounts.common.steady_clock import wall_time_of
from upstreams.api.upstream_schema import Secret
from upstreams.models import UpstreamCredential
from upstreams.routing import credential_state, live_state
from upstreams.secrets import store

router = Router(tags=["credentials"])


class CredentialFields(RequestBody):
    """What can be set on a credential. The key is never shown again."""

    table = UpstreamCredential

    upstream_id: Id | None = None
    name: str | None = None
    api_key: Secret | None = None
    access_key_id: str | None = Field(None, description="Of AWS credentials; api_key is then the secret access key.")
    session_token: Secret | None = Field(None, description="Of temporary AWS credentials, beside api_key; never shown again.")
    priority: Int32 | None = None
    is_active: bool | None = None


class NewCredential(CredentialFields):
    """A credential to create."""

    needs = ("upstream_id", "api_key")


@shows(CredentialFields, UpstreamCredential)
class ShownCredential(Schema):
    """A credential. `cooling_until`: end of its latest cooldown; `disabled_reason`: why the gateway itself disabled it."""

    cooling_until: Moment | None
    disabled_reason: str | None
    last_used_at: Moment | None


class CredentialFilters(Paging):
    """Which credentials."""

    upstream_id: IdOrEmpty | None = None


class Credentials(Resource[UpstreamCredential, CredentialFields]):
    """Credentials with their state, by upstream; never the keys themselves."""

    table = UpstreamCredential
    schema = ShownCredential
    title = "Credential"
    order = ("upstream__name", "priority", "created_at", "id")

    def before_save(self, row: UpstreamCredential, body: CredentialFields) -> None:
        """Encrypt the key."""
        require(body.api_key or not body.session_token, "session_token needs api_key, the secret access key that it belongs to")
        if body.api_key:
            store.set_secret(row, body.api_key, session_token=body.session_token or "")

    def computed_values(self, row: UpstreamCredential) -> dict[str, Any]:
        """``cooling_until`` is the latest end of any of its cooldowns, in this process or in the table; ``null`` when all are over."""
        end = live_state.current().cooldowns.credential_until(str(row.id), str(row.upstream_id))
        in_memory = datetime.fromtimestamp(wall_time_of(end), UTC)
        until = max(in_memory, row.cooling_until or in_memory)
        return {
            "cooling_until": timestamp(until) if until > datetime.now(UTC) else None,
            "disabled_reason": row.disabled_reason or None,
        }


credentials = Credentials()


@router.get("", response=responses(Page[ShownCredential]))
def list_credentials(request: HttpRequest, filters: Query[CredentialFilters]) -> dict[str, Any]:
    """All credentials, or those of one upstream, with their state; never the keys themselves."""
    return credentials.page(filters)


@router.get("/{credential_id}", response=responses(Data[ShownCredential]))
def get_credential(request: HttpRequest, credential_id: Id) -> dict[str, Any]:
    """One credential."""
    return credentials.get(credential_id)


@router.post("", response=responses(Data[ShownCredential], 201))
def create_credential(request: HttpRequest, body: NewCredential) -> CreatedResponse:
    """Give an upstream another key."""
    require(body.upstream_id and body.api_key, "upstream_id and api_key are required")
    return credentials.create(body)


@router.patch("/{credential_id}", response=responses(Data[ActionResult]))
def update_credential(request: HttpRequest, credential_id: Id, body: CredentialFields) -> dict[str, Any]:
    """Change a credential. ``is_active: true`` also enables one that the gateway disabled, and ends its cooldowns."""
    updated = credentials.update(credential_id, body)
    if body.is_active or body.api_key:
        row = credentials.find(credential_id)
        credential_state.enable(str(row.id), str(row.upstream_id))
    return updated


@router.delete("/{credential_id}", response=responses(Data[ActionResult]))
def delete_credential(request: HttpRequest, credential_id: Id) -> dict[str, Any]:
    """Delete a credential."""
    return credentials.delete(credential_id)

"""``/api/v1/keys`` and ``/api/v1/bootstrap``: client keys and management keys."""

from __future__ import annotations

import hmac
from typing import Annotated, Any, Literal

from django.conf import settings
from django.db.models import QuerySet
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import WithJsonSchema

from accounts import key_rotation, keys
from accounts.api.authentication import presented_key
from accounts.api.key_limits import Amount, ModeName, PeriodName, decimal_text, limit_values, with_defaults, write_first_budget
from accounts.common.api_envelope import ApiError, data_envelope, parse_uuid, require, timestamp
from accounts.common.api_resource import Resource, shows
from accounts.common.api_schema import (
    WARNING,
    ActionResult,
    Clearable,
    CreatedResponse,
    Data,
    DecimalText,
    Id,
    Int32,
    ModelNames,
    Moment,
    Page,
    Paging,
    RequestBody,
    created_response,
    responses,
)
from accounts.common.key_kinds import KeyKind
from accounts.key_rotation import MAX_GRACE_SECONDS
from accounts.models import ApiKey, ManagementKey, Owner, Pool

router = Router(tags=["keys"])
open_router = Router(tags=["bootstrap"])

BAD_TYPE = "Invalid key type, must be 'llm' or 'management'"

IpRanges = Annotated[list[str], WithJsonSchema({"type": "array", "items": {"type": "string", "minLength": 1}})]
KindName = Annotated[str, WithJsonSchema({"type": "string", "enum": list(KeyKind)})]
KindFilter = Annotated[str, Field(description="llm or management. Any other value is treated as absent.")]
OwnerName = Annotated[str, Field(max_length=200)]
"""An empty name is the same as no owner."""
PoolNames = Annotated[list[OwnerName], Field(max_length=100)]
Permissions = Annotated[list[Literal["read", "write"]], Field(min_length=1)]


class Rotation(RequestBody):
    """How a key is rotated."""

    grace_seconds: Annotated[float, Field(ge=0, le=MAX_GRACE_SECONDS)] | None = Field(
        None, description="How long the old key stays valid, in seconds; by default it ends at once."
    )


class KeyFields(RequestBody):
    """What can be set on a key. A field left out stays as it is; ``null`` clears the end and the limits."""

    table = ApiKey

    name: str | None = Field(None, description="Who or what uses the key.")
    is_active: bool | None = None
    owner: Clearable[OwnerName] = Field(
        None, description="The user or team to whom the key belongs; created when it is first named. Client keys only."
    )
    expires_at: Clearable[Moment] = Field(None, description="From this time on the key is refused.")
    metadata: dict[str, Any] | None = Field(None, description="Free notes.")
    rate_limit: Clearable[Int32] = Field(
        None, description="Requests per minute. Client keys only, like the fields down to may_choose_upstream."
    )
    tokens_per_minute: Clearable[Int32] = Field(None, description="Input and output together.")
    max_concurrency: Clearable[Int32] = Field(None, description="Concurrent requests.")
    token_limit: Clearable[Int32] = Field(None, description="The older name of tokens_per_minute.")
    concurrency_limit: Clearable[Int32] = Field(None, description="The older name of max_concurrency.")
    budget_usd: Clearable[Amount] = Field(
        None, description="The amount of the key's first budget, in USD; null: it has none. More budgets are at /api/v1/budgets."
    )
    budget_period: PeriodName | None = Field(None, description="Of the first budget, in UTC; a new one is total by default.")
    budget_mode: ModeName | None = Field(None, description="Of the first budget; a new one is hard by default.")
    pools: Clearable[PoolNames] = Field(None, description="Pools whose budgets the key shares; created when they are first named.")
    allowed_models: Clearable[ModelNames] = Field(None, description="Names, in which * stands for any text; null: every model.")
    allowed_ips: Clearable[IpRanges] = Field(None, description="Addresses and ranges of clients, as 10.0.0.0/8; null: every address.")
    capture_payloads: bool | None = Field(None, description="Store the bodies of its requests and responses, redacted.")
    may_choose_upstream: bool | None = Field(None, description="Requests may name their upstream in the header X-Pxbin-Upstream.")
    permissions: Permissions | None = Field(None, description="Management keys only.")


class NewKey(KeyFields):
    """A key to create."""

    type: KindName | None = Field(None, description="By default llm.")


class Bootstrap(NewKey):
    """The first key, created with the bootstrap secret."""

    bootstrap_key: str | None = Field(None, description="The secret, unless a header carries it.")


@shows(KeyFields, ApiKey)
class ShownClientKey(Schema):
    """A client key, without its secret."""

    owner: str | None
    tokens_per_minute: int | None
    max_concurrency: int | None
    budget_usd: DecimalText | None
    budget_period: PeriodName | None
    budget_mode: ModeName | None
    pools: list[str]
    key_prefix: str
    old_key_valid_until: Moment | None = Field(..., description="The end of the key before the last rotation.")
    last_used_at: Moment | None


@shows(KeyFields, ManagementKey)
class ShownManagementKey(Schema):
    """A management key, without its secret."""

    key_prefix: str
    old_key_valid_until: Moment | None = Field(..., description="The end of the key before the last rotation.")
    last_used_at: Moment | None


class IssuedKey(Schema):
    """A new key. This is the only response that shows it."""

    key: str
    id: Id
    name: str
    key_prefix: str
    created_at: Moment


class RotatedKey(IssuedKey):
    """The new secret of a key. This is the only response that shows it."""

    old_key_valid_until: Moment


AnyKey = ShownManagementKey | ShownClientKey


class ClientKeys(Resource[ApiKey, KeyFields]):
    """Client keys, the newest first."""

    table = ApiKey
    schema = ShownClientKey
    title = "Key"
    order = ("-created_at", "-id")

    def rows(self) -> QuerySet[ApiKey, ApiKey]:
        """All keys with their owners, budgets and pools."""
        return super().rows().select_related("owner").prefetch_related("budgets", "pools")

    def write(self, row: ApiKey, body: KeyFields) -> None:
        """A new key gets the defaults for what its body leaves out."""
        super().write(row, with_defaults(body) if row.loaded_values is None else body)

    def column_values(self, body: KeyFields) -> dict[str, Any]:
        """The columns with the limits, which have two names."""
        return super().column_values(body) | limit_values(body)

    def before_save(self, row: ApiKey, body: KeyFields) -> None:
        """Create the owner when it is first named."""
        if "owner" in body.model_fields_set:
            name = (body.owner or "").strip()
            row.owner = Owner.named(name) if name else None

    def after_save(self, row: ApiKey, body: KeyFields) -> None:
        """Write the first budget and the pools."""
        write_first_budget(row, body)
        if "pools" in body.model_fields_set:
            row.pools.set([Pool.named(name.strip()) for name in body.pools or () if name.strip()])

    def computed_values(self, row: ApiKey) -> dict[str, Any]:
        """The owner, the limits by their newer names, the first budget, the pools."""
        first = next(iter(row.budgets.all()), None)
        return {
            "owner": row.owner.name if row.owner is not None else None,
            "tokens_per_minute": row.token_limit,
            "max_concurrency": row.concurrency_limit,
            "budget_usd": None if first is None else decimal_text(first.amount_usd),
            "budget_period": None if first is None else first.period,
            "budget_mode": None if first is None else first.mode,
            "pools": sorted(pool.name for pool in row.pools.all()),
        }


class ManagementKeys(Resource[ManagementKey, KeyFields]):
    """Management keys, the newest first."""

    table = ManagementKey
    schema = ShownManagementKey
    title = "Key"
    order = ("-created_at", "-id")


KEYS: dict[str, Resource[Any, KeyFields]] = {KeyKind.LLM: ClientKeys(), KeyKind.MANAGEMENT: ManagementKeys()}


@router.get("", response=responses(Page[AnyKey]))
def list_keys(request: HttpRequest, paging: Query[Paging], type: KindFilter = KeyKind.LLM) -> dict[str, Any]:  # noqa: A002  (REST name)
    """Keys of one kind, the newest first; never their secrets. Revoked keys stay listed."""
    return KEYS.get(type, KEYS[KeyKind.LLM]).page(paging)


@router.post("", response=responses(Data[IssuedKey], 201))
def create_key(request: HttpRequest, body: NewKey) -> CreatedResponse:
    """Create a key. Only this response ever shows it."""
    return _issue(body, kind=body.type or KeyKind.LLM, permissions=["read"])


@router.get("/{key_id}", response=responses(Data[AnyKey]))
def get_key(request: HttpRequest, key_id: Id, type: KindFilter | None = None) -> dict[str, Any]:  # noqa: A002
    """One key, without its secret."""
    resource = _resource_of(key_id, type)
    if resource is None:
        raise ApiError("not_found", "Key not found")
    return resource.get(key_id)


@router.patch("/{key_id}", response=responses(Data[ActionResult]))
def update_key(request: HttpRequest, key_id: Id, body: KeyFields, type: KindFilter | None = None) -> dict[str, Any]:  # noqa: A002
    """Change a key; without ``type`` both kinds are searched. If there is none, nothing changes, and a header warns."""
    resource = _resource_of(key_id, type)
    return _unknown_key(request, "updated") if resource is None else resource.update(key_id, body)


@router.delete("/{key_id}", response=responses(Data[ActionResult]))
def revoke_key(request: HttpRequest, key_id: Id, type: KindFilter | None = None) -> dict[str, Any]:  # noqa: A002
    """Revoke a key; it is refused from the next request on. If there is none, nothing changes, and a header warns."""
    resource = _resource_of(key_id, type)
    if resource is None:
        return _unknown_key(request, "deactivated")
    row = resource.find(key_id)
    row.is_active = False
    row.save()
    return data_envelope({"status": "deactivated"})


@router.post("/{key_id}/rotate", response=responses(Data[RotatedKey], 201))
def rotate_key(request: HttpRequest, key_id: Id, body: Rotation | None = None, type: KindFilter | None = None) -> CreatedResponse:  # noqa: A002
    """Give a key a new secret, which only this response ever shows. Id and limits stay; rotating again ends the older secret at once."""
    resource = _resource_of(key_id, type)
    if resource is None:
        raise ApiError("not_found", "Key not found")
    row = resource.find(key_id)
    try:
        plaintext = key_rotation.rotate(row, grace_seconds=(body and body.grace_seconds) or 0)
    except key_rotation.NotRotatable as refusal:
        raise ApiError("conflict", str(refusal)) from None
    return created_response(data_envelope({**issued_key(plaintext, row), "old_key_valid_until": timestamp(row.old_key_valid_until)}))


@open_router.post("/bootstrap", response=responses(Data[IssuedKey], 201))
def bootstrap(request: HttpRequest, body: Bootstrap) -> CreatedResponse:
    """Create a key with the bootstrap secret, given in a header or in the body; in the body, ``type`` is by default management."""
    secret: str = settings.PXBIN.management_bootstrap_key
    header_secret = presented_key(request)
    given_secret = header_secret or body.bootstrap_key or ""
    if not secret:
        raise ApiError("not_found", "Bootstrapping is switched off: PXBIN_MANAGEMENT_BOOTSTRAP_KEY is not set")
    if not hmac.compare_digest(given_secret.encode(), secret.encode()):
        raise ApiError("authentication_error", "Invalid bootstrap key")
    kind = body.type or (KeyKind.LLM if header_secret else KeyKind.MANAGEMENT)
    return _issue(body, kind=kind, permissions=["read", "write"])


def _issue(body: NewKey, *, kind: str, permissions: list[str]) -> CreatedResponse:
    require(kind in KEYS, BAD_TYPE)
    plaintext, row = keys.new_key(KeyKind(kind))
    if isinstance(row, ManagementKey):
        row.permissions = permissions
    KEYS[kind].write(row, body)
    return created_response(data_envelope(issued_key(plaintext, row)))


def issue_client_key(body: NewKey) -> tuple[str, ApiKey]:
    """A new client key in plain text and its row, as ``POST /api/v1/keys`` makes it. Raises :class:`ApiError`."""
    plaintext, row = keys.new_key(KeyKind.LLM)
    assert isinstance(row, ApiKey)
    KEYS[KeyKind.LLM].write(row, body)
    return plaintext, row


def issued_key(plaintext: str, row: ApiKey | ManagementKey) -> dict[str, Any]:
    """A new key as it is shown once, see :class:`IssuedKey`."""
    created_at = timestamp(row.created_at.replace(microsecond=0))
    return {"key": plaintext, "id": str(row.id), "name": row.name, "key_prefix": row.key_prefix, "created_at": created_at}


def _unknown_key(request: HttpRequest, status: str) -> dict[str, Any]:
    """The response of pxbin to a change of a key that does not exist: that of success."""
    request.META[WARNING] = "there is no key with this id"
    return data_envelope({"status": status})


def _resource_of(key_id: str, kind: str | None) -> Resource[Any, KeyFields] | None:
    """The kind that a key belongs to: the named one, else the first in which the id exists. Raises :class:`ApiError`."""
    row_id = parse_uuid(key_id)
    for resource in [KEYS[kind]] if kind in KEYS else KEYS.values():
        if resource.rows().filter(pk=row_id).exists():
            return resource
    return None

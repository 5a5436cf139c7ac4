"""``/api/v1/keys`` and ``/api/v1/bootstrap``: keys of clients and managers, made and revoked by script."""

from __future__ import annotations

import hmac
from typing import Annotated, Any

from django.conf import settings
from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import WithJsonSchema

from accounts import keys
from accounts.api.authentication import presented
from accounts.common.api_envelope import Refused, data, moment_of, page_of, stored, timestamp, uuid_of
from accounts.common.api_schema import Body, Created, Data, Done, Id, Moment, Page, Paging, Whole, answers, created
from accounts.models import ApiKey, ManagementKey

router = Router(tags=["keys"])
open_router = Router(tags=["bootstrap"])

TABLES: dict[str, type[ApiKey] | type[ManagementKey]] = {"llm": ApiKey, "management": ManagementKey}
LIMITS = ("rate_limit", "token_limit", "concurrency_limit", "allowed_models", "may_choose_upstream")
BAD_TYPE = "Invalid key type, must be 'llm' or 'management'"

Kind = Annotated[str, WithJsonSchema({"type": "string", "enum": list(TABLES)})]
Permissions = Annotated[list[str], WithJsonSchema({"type": "array", "items": {"type": "string", "enum": ["read", "write"]}})]


class KeyFields(Body):
    """What can be set on a key. A field left out stays as it is; ``null`` clears it."""

    name: str | None = Field(None, description="Who or what uses it.")
    is_active: bool | None = None
    expires_at: Moment | None = Field(None, description="From then on it is refused.")
    metadata: dict[str, Any] | None = Field(None, description="Free notes.")
    rate_limit: Whole | None = Field(None, description="Requests per minute. Client keys only, as all down to may_choose_upstream.")
    token_limit: Whole | None = Field(None, description="Tokens per minute, input and output together.")
    concurrency_limit: Whole | None = Field(None, description="Requests at once.")
    allowed_models: list[str] | None = Field(None, description="Names, * stands for anything; null: every model.")
    may_choose_upstream: bool | None = Field(None, description="May name the upstream of a request in X-Pxbin-Upstream.")
    permissions: Permissions | None = Field(None, description="Management keys only.")


class NewKey(KeyFields):
    """A key to be made."""

    type: Kind | None = Field(None, description="Left out: llm.")


class Bootstrap(NewKey):
    """The first key, made with the bootstrap secret."""

    bootstrap_key: str | None = Field(None, description="The secret, where no header has it.")


class ShownKey(Schema):
    """A key, without its secret. Some fields belong to one kind only."""

    id: Id
    key_prefix: str
    name: str
    is_active: bool
    expires_at: Moment | None
    last_used_at: Moment | None
    metadata: dict[str, Any]
    created_at: Moment
    updated_at: Moment


class ShownClientKey(ShownKey):
    """A client's key."""

    rate_limit: int | None
    token_limit: int | None
    concurrency_limit: int | None
    allowed_models: list[str] | None
    may_choose_upstream: bool


class ShownManagementKey(ShownKey):
    """A key for the management API."""

    permissions: Permissions


class IssuedKey(Schema):
    """The one answer that shows a key."""

    key: str
    id: Id
    name: str
    key_prefix: str
    created_at: Moment


AnyKey = ShownManagementKey | ShownClientKey


@router.get("", response=answers(Page[AnyKey]))
def list_keys(request: HttpRequest, paging: Query[Paging], type: Kind = "llm") -> dict[str, Any]:  # noqa: A002  (the API's own word)
    """Keys of one kind, the newest first; never their secrets. Revoked keys stay listed."""
    table = ManagementKey if type == "management" else ApiKey
    rows = table.objects.order_by("-created_at", "-id")
    return page_of(rows, request.GET, shown=shown)


@router.post("", response=answers(Data[IssuedKey], 201))
def create_key(request: HttpRequest, body: NewKey) -> Created:
    """Make a key; the answer is the only place where it is ever shown."""
    return created(_created(body, kind=body.type or "llm", permissions=["read"]))


@router.get("/{key_id}", response=answers(Data[AnyKey]))
def get_key(request: HttpRequest, key_id: Id, type: Kind | None = None) -> dict[str, Any]:  # noqa: A002
    """One key, without its secret."""
    return data(shown(_row(key_id, type)))


@router.patch("/{key_id}", response=answers(Data[Done]))
def update_key(request: HttpRequest, key_id: Id, body: KeyFields, type: Kind | None = None) -> dict[str, Any]:  # noqa: A002
    """Change a key; without ``type`` both kinds are searched."""
    row = _row(key_id, type)
    _assign(row, body)
    stored(row)
    return data({"status": "updated"})


@router.delete("/{key_id}", response=answers(Data[Done]))
def revoke_key(request: HttpRequest, key_id: Id, type: Kind | None = None) -> dict[str, Any]:  # noqa: A002
    """Revoke a key; it is refused from the next request on."""
    row = _row(key_id, type)
    row.is_active = False
    row.save()
    return data({"status": "deactivated"})


@open_router.post("/bootstrap", response=answers(Data[IssuedKey], 201))
def bootstrap(request: HttpRequest, body: Bootstrap) -> Created:
    """Make a key with the bootstrap secret, given in a header or in the body; the latter makes a management key by default."""
    secret: str = settings.PXBIN.management_bootstrap_key
    in_header = presented(request)
    given = in_header or body.bootstrap_key or ""
    if not secret:
        raise Refused("not_found", "Bootstrapping is switched off: PXBIN_MANAGEMENT_BOOTSTRAP_KEY is not set")
    if not hmac.compare_digest(given.encode(), secret.encode()):
        raise Refused("authentication_error", "Invalid bootstrap key")
    kind = body.type or ("llm" if in_header else "management")
    return created(_created(body, kind=kind, permissions=["read", "write"]))


def _created(body: KeyFields, *, kind: str, permissions: list[str]) -> dict[str, Any]:
    if kind not in TABLES:
        raise Refused("invalid_request", BAD_TYPE)
    plaintext, row = keys.draft("llm" if kind == "llm" else "management")
    if isinstance(row, ManagementKey):
        row.permissions = permissions
    _assign(row, body)
    stored(row)
    made = timestamp(row.created_at.replace(microsecond=0))
    return data({"key": plaintext, "id": str(row.id), "name": row.name, "key_prefix": row.key_prefix, "created_at": made})


def _row(key_id: str, kind: str | None) -> ApiKey | ManagementKey:
    identity = uuid_of(key_id)
    tables = [TABLES[kind]] if kind in TABLES else list(TABLES.values())
    for table in tables:
        row: ApiKey | ManagementKey | None = table.objects.filter(pk=identity).first()
        if row is not None:
            return row
    raise Refused("not_found", "Key not found")


def _assign(row: ApiKey | ManagementKey, body: KeyFields) -> None:
    given = body.model_dump(exclude_unset=True, exclude={"type", "bootstrap_key"})
    allowed = {"name", "is_active", "expires_at", "metadata", *(("permissions",) if isinstance(row, ManagementKey) else LIMITS)}
    if given.get("expires_at") is not None:
        given["expires_at"] = moment_of(given["expires_at"], "expires_at")
    for field, value in given.items():
        if field in allowed and (value is not None or _clears(field)):
            setattr(row, field, value)


def _clears(field: str) -> bool:
    """Whether ``null`` means something for a field; for the others it means unchanged."""
    return field in ("expires_at", "rate_limit", "token_limit", "concurrency_limit", "allowed_models")


def shown(row: ApiKey | ManagementKey) -> dict[str, Any]:
    """A key as the API shows it."""
    item: dict[str, Any] = {"id": str(row.id), "key_prefix": row.key_prefix, "name": row.name, "is_active": row.is_active}
    if isinstance(row, ManagementKey):
        item["permissions"] = row.permissions
    else:
        item |= {field: getattr(row, field) for field in LIMITS}
    return item | {
        "expires_at": timestamp(row.expires_at),
        "last_used_at": timestamp(row.last_used_at),
        "metadata": row.metadata,
        "created_at": timestamp(row.created_at),
        "updated_at": timestamp(row.updated_at),
    }

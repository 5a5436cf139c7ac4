"""``/api/v1/keys`` and ``/api/v1/bootstrap``: keys of clients and managers, made and revoked by script."""

from __future__ import annotations

import hmac
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from ninja import Router, Schema
from pydantic import ConfigDict

from accounts import keys
from accounts.api_auth import presented
from accounts.envelope import Refused, data, page_of, paginated, stored, timestamp, uuid_of
from accounts.models import ApiKey, ManagementKey

router = Router(tags=["keys"])
open_router = Router(tags=["bootstrap"])

TABLES: dict[str, type[ApiKey] | type[ManagementKey]] = {"llm": ApiKey, "management": ManagementKey}
LIMITS = ("rate_limit", "token_limit", "concurrency_limit", "allowed_models", "may_choose_upstream")
BAD_TYPE = "Invalid key type, must be 'llm' or 'management'"


class KeyFields(Schema):
    """What can be set on a key. A field left out stays as it is; ``null`` clears it."""

    model_config = ConfigDict(strict=True)

    name: str | None = None
    is_active: bool | None = None
    expires_at: str | None = None
    metadata: dict[str, Any] | None = None
    rate_limit: int | None = None
    token_limit: int | None = None
    concurrency_limit: int | None = None
    allowed_models: list[str] | None = None
    may_choose_upstream: bool | None = None
    permissions: list[str] | None = None


class NewKey(KeyFields):
    """A key to be made."""

    type: str | None = None


class Bootstrap(NewKey):
    """The first key, made with the bootstrap secret."""

    bootstrap_key: str | None = None


@router.get("")
def list_keys(request: HttpRequest, type: str = "llm") -> dict[str, Any]:  # noqa: A002  (the API's own word)
    """Keys of one kind, the newest first; never their secrets. Revoked keys stay listed."""
    table = ManagementKey if type == "management" else ApiKey
    page, size = page_of(request.GET)
    rows = table.objects.order_by("-created_at", "-id")
    return paginated([shown(row) for row in rows[(page - 1) * size : page * size]], total=rows.count(), page=page, per_page=size)


@router.post("", response={201: Any})
def create_key(request: HttpRequest, body: NewKey) -> tuple[int, dict[str, Any]]:
    """Make a key; the answer is the only place where it is ever shown."""
    return 201, _created(body, kind=body.type or "llm", permissions=["read"])


@router.get("/{key_id}")
def get_key(request: HttpRequest, key_id: str, type: str | None = None) -> dict[str, Any]:  # noqa: A002
    """One key, without its secret."""
    return data(shown(_row(key_id, type)))


@router.patch("/{key_id}")
def update_key(request: HttpRequest, key_id: str, body: KeyFields, type: str | None = None) -> dict[str, Any]:  # noqa: A002
    """Change a key; without ``type`` both kinds are searched."""
    row = _row(key_id, type)
    _assign(row, body)
    stored(row)
    return data({"status": "updated"})


@router.delete("/{key_id}")
def revoke_key(request: HttpRequest, key_id: str, type: str | None = None) -> dict[str, Any]:  # noqa: A002
    """Revoke a key; it is refused from the next request on."""
    row = _row(key_id, type)
    row.is_active = False
    row.save()
    return data({"status": "deactivated"})


@open_router.post("/bootstrap", response={201: Any})
def bootstrap(request: HttpRequest, body: Bootstrap) -> tuple[int, dict[str, Any]]:
    """Make a key with the bootstrap secret, given in a header or in the body; the latter makes a management key by default."""
    secret: str = settings.PXBIN.management_bootstrap_key
    in_header = presented(request)
    given = in_header or body.bootstrap_key or ""
    if not secret:
        raise Refused("not_found", "Bootstrapping is switched off: PXBIN_MANAGEMENT_BOOTSTRAP_KEY is not set")
    if not hmac.compare_digest(given.encode(), secret.encode()):
        raise Refused("authentication_error", "Invalid bootstrap key")
    kind = body.type or ("llm" if in_header else "management")
    return 201, _created(body, kind=kind, permissions=["read", "write"])


def _created(body: KeyFields, *, kind: str, permissions: list[str]) -> dict[str, Any]:
    if kind not in TABLES:
        raise Refused("invalid_request", BAD_TYPE)
    plaintext, row = keys.draft("llm" if kind == "llm" else "management")
    if isinstance(row, ManagementKey):
        row.permissions = permissions
    _assign(row, body)
    stored(row)
    return data(
        {"key": plaintext, "id": str(row.id), "name": row.name, "key_prefix": row.key_prefix, "created_at": timestamp(row.created_at)}
    )


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

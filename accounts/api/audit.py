"""``/api/v1/audit``: who created, changed and deleted what."""

from __future__ import annotations

from typing import Annotated, Any

from django.http import HttpRequest
from ninja import Field, Query, Router, Schema
from pydantic import WithJsonSchema

from accounts import change_log
from accounts.common.api_envelope import ApiError, parse_moment, parse_uuid, timestamp
from accounts.common.api_resource import json_value, page_and_size
from accounts.common.api_schema import IdOrEmpty, Moment, MomentOrEmpty, Page, Paging, responses

router = Router(tags=["audit"])

LARGEST_PAGE = 200
"""Each entry of a page is compared with the one before it, by a query of its own."""
TYPES_BY_ACTION = {name: record_type for record_type, name in change_log.ACTIONS.items()}
ActionName = Annotated[str, WithJsonSchema({"type": "string", "enum": ["", *TYPES_BY_ACTION]})]


class AuditFilters(Paging):
    """Which entries; an empty value is no filter."""

    object_type: str | None = Field(None, description="For example `upstream`, `upstreamcredential`, `model`, `route`, `apikey`.")
    object_id: IdOrEmpty | None = None
    action: ActionName | None = None
    from_: MomentOrEmpty | None = Field(None, alias="from", description="RFC 3339, inclusive.")
    to: MomentOrEmpty | None = Field(None, description="RFC 3339, inclusive.")


class AuditChange(Schema):
    """A field with its value before and after; secrets are `***`."""

    field: str
    old: Any
    new: Any


class AuditActor(Schema):
    """`user` (of the admin), `key` (prefix and name of a management key), `command`, or `system`, the gateway itself, without a name."""

    type: Annotated[str, WithJsonSchema({"type": "string", "enum": ["user", "key", "command", "system"]})]
    name: str


class AuditEntry(Schema):
    """One change of one object. Of a created or deleted object, `changes` has the fields that have a value."""

    id: str
    timestamp: Moment
    action: Annotated[str, WithJsonSchema({"type": "string", "enum": list(TYPES_BY_ACTION)})]
    object_type: str
    object_id: str
    object_name: str
    actor: AuditActor
    changes: list[AuditChange]


@router.get("", response=responses(Page[AuditEntry]))
def list_changes(request: HttpRequest, filters: Query[AuditFilters]) -> dict[str, Any]:
    """Changes of keys, upstreams, credentials, models and routes, the newest first. At most 200 entries are returned."""
    tables = change_log.object_types()
    if filters.object_type:
        if filters.object_type not in tables:
            raise ApiError("invalid_request", f"Invalid object_type, must be one of {', '.join(tables)}")
        tables = {filters.object_type: tables[filters.object_type]}
    if filters.action and filters.action not in TYPES_BY_ACTION:
        raise ApiError("invalid_request", f"Invalid action, must be one of {', '.join(TYPES_BY_ACTION)}")
    page, size = page_and_size(filters, largest=LARGEST_PAGE)
    total, entries = change_log.count_and_page(
        tables=tables.values(),
        since=parse_moment(filters.from_, "from") if filters.from_ else None,
        until=parse_moment(filters.to, "to") if filters.to else None,
        object_id=str(parse_uuid(filters.object_id)) if filters.object_id else "",
        action=TYPES_BY_ACTION.get(filters.action or "", ""),
        start=(page - 1) * size,
        size=size,
    )
    return {"data": [_shown(entry) for entry in entries], "meta": {"total": total, "page": page, "per_page": size}}


def _shown(entry: change_log.Entry) -> dict[str, Any]:
    return {
        "id": entry.id,
        "timestamp": timestamp(entry.timestamp),
        "action": entry.action,
        "object_type": entry.object_type,
        "object_id": entry.object_id,
        "object_name": entry.object_name,
        "actor": {"type": entry.actor_kind, "name": entry.actor},
        "changes": [{"field": change.field, "old": json_value(change.old), "new": json_value(change.new)} for change in entry.changes],
    }

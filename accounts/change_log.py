"""The change log: who created, changed and deleted what, over the histories of all tables that have one.

Django's user is in the history itself. For others its change reason names the actor: the management key of a call, or the command.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from django.db import models
from django.db.models import Value
from simple_history.models import HistoricalRecords, registered_models
from simple_history.signals import pre_create_historical_record

from accounts.common import running_command
from accounts.common.client_address import client_address
from accounts.models import ManagementKey

ACTIONS = {"+": "created", "~": "changed", "-": "deleted"}
"""The names of simple_history's types of records."""
HIDDEN_WORDS = ("secret", "hash", "password")
"""Parts of the names of fields whose values are replaced by `***`, should a history ever hold them."""
LONGEST_ACTOR = 100
SEPARATOR = "; "
"""Between the parts of a change reason: the actor (may be empty), a note, the address."""
SECRET_REPLACED = "secret replaced"  # noqa: S105  (a note, not a secret)
"""The note of a change that set a secret, for ``_change_reason`` of the row: histories have no column for it."""


class Change(msgspec.Struct, frozen=True):
    """A field with its value before and after, as the history holds them."""

    field: str
    old: Any
    new: Any


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One change of one object. ``actor`` is empty for the gateway itself; ``actor_kind``: ``user``, ``key``, ``command`` or ``system``."""

    id: str
    timestamp: datetime
    action: str
    object_type: str
    object_id: str
    object_name: str
    actor_kind: str
    actor: str
    changes: tuple[Change, ...]


# --- writing ----------------------------------------------------------------------------------------------------------


def note_actor(*, history_instance: Any, **_: Any) -> None:
    """Receiver: name the actor in a new record (unless it has a user), the client's address, and the note of the change."""
    note = history_instance.history_change_reason or ""
    actor = "" if history_instance.history_user_id else _actor()[: LONGEST_ACTOR // 2]
    parts = (actor, note, _origin()) if note or _origin() else (actor,)
    history_instance.history_change_reason = SEPARATOR.join(parts[:1] + tuple(filter(None, parts[1:])))[:LONGEST_ACTOR] or None


def _origin() -> str:
    """From where the request of the change came; empty for a command."""
    request = getattr(HistoricalRecords.context, "request", None)
    address = "" if request is None else client_address(request.META.get("REMOTE_ADDR") or "", request.headers)
    return f"from {address}" if address else ""


def _actor() -> str:
    key = getattr(getattr(HistoricalRecords.context, "request", None), "auth", None)
    if isinstance(key, ManagementKey):
        return f"key {key.key_prefix} {key.name}".strip()
    command = running_command.current()
    return f"manage.py {command}" if command else ""


def connect() -> None:
    """Name the actor in all records of this process."""
    pre_create_historical_record.connect(note_actor, dispatch_uid="accounts.change_log")


# --- reading ----------------------------------------------------------------------------------------------------------


def object_types() -> dict[str, type[models.Model]]:
    """The tables that have a history, by the names that entries give to their rows, such as ``upstream``."""
    return {
        table._meta.model_name or "": table  # noqa: SLF001  (documented)
        for table in sorted(registered_models.values(), key=lambda table: table._meta.label)  # noqa: SLF001
    }


def count_and_page(
    *,
    tables: Iterable[type[models.Model]],
    since: datetime | None = None,
    until: datetime | None = None,
    object_id: str = "",
    action: str = "",
    start: int = 0,
    size: int = 50,
) -> tuple[int, list[Entry]]:
    """The number of entries of ``tables`` that match, and those from ``start`` on, the newest first. Both times are inclusive."""
    conditions: dict[str, Any] = {"history_date__gte": since, "history_date__lte": until, "history_type": action, "id": object_id}
    conditions = {name: value for name, value in conditions.items() if value}
    by_type = {table._meta.model_name or "": table for table in tables}  # noqa: SLF001
    queries = [
        table.history.filter(**conditions).order_by().annotate(kind=Value(kind)).values_list("history_date", "kind", "history_id")  # type: ignore[attr-defined]
        for kind, table in by_type.items()
    ]
    if not queries:
        return 0, []
    total = sum(query.count() for query in queries)
    union = queries[0].union(*queries[1:], all=True) if len(queries) > 1 else queries[0]
    page = list(union.order_by("-history_date", "-history_id")[start : start + size])
    return total, _entries(by_type, page)


def _entries(by_type: dict[str, type[models.Model]], page: Sequence[tuple[datetime, str, int]]) -> list[Entry]:
    records: dict[tuple[str, int], Any] = {}
    for kind, table in by_type.items():
        if ids := [history_id for _, record_kind, history_id in page if record_kind == kind]:
            rows = table.history.select_related("history_user").filter(history_id__in=ids)  # type: ignore[attr-defined]
            records |= {(kind, row.history_id): row for row in rows}
    return [_entry(kind, records[kind, history_id]) for _, kind, history_id in page if (kind, history_id) in records]


def _entry(kind: str, record: Any) -> Entry:
    user, reason = record.history_user, (record.history_change_reason or "").partition(SEPARATOR)[0]
    actor_kind = "user" if user is not None else "key" if reason.startswith("key ") else "command" if reason else "system"
    return Entry(
        id=f"{kind}-{record.history_id}",
        timestamp=record.history_date,
        action=ACTIONS[record.history_type],
        object_type=kind,
        object_id=str(record.id),
        object_name=_name_of(record),
        actor_kind=actor_kind,
        actor=str(user) if user is not None else reason.removeprefix("key "),
        changes=tuple(_changes(record)),
    )


def _name_of(record: Any) -> str:
    """The name of the object at that time. A route has none of its own: its remote name."""
    return next((str(value) for field in ("name", "key_prefix", "remote_name") if (value := getattr(record, field, ""))), "")


def _changes(record: Any) -> Iterator[Change]:
    """The fields that a change wrote; those of a created or deleted object that have a value."""
    fields = sorted(field.attname for field in record.tracked_fields if field.name not in ("id", "created_at", "updated_at"))
    before = record.prev_record if record.history_type == "~" else None
    for field in fields:
        old = getattr(before, field) if before is not None else None
        new = getattr(record, field)
        if record.history_type == "-":
            old, new = new, None
        if record.history_type == "~" and before is None:
            continue
        if old != new and not (record.history_type != "~" and _is_empty(old if new is None else new)):
            is_hidden = any(word in field for word in HIDDEN_WORDS)
            yield Change(field, *("***" if is_hidden and value else value for value in (old, new)))


def _is_empty(value: Any) -> bool:
    return value is None or value in ("", [], {})

"""The change log: what happened to keys, upstreams, credentials, models and routes, newest first, in a fixed number of queries.

Secrets have no column in the histories: a replaced one is a note.
"""

from __future__ import annotations

import csv
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Model as Row
from django.db.models import OuterRef, Q, QuerySet, Subquery
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils.dateparse import parse_datetime

from accounts.change_log import ACTIONS, SEPARATOR
from accounts.models import ApiKey, ManagementKey
from upstreams.models import Model, Route, Upstream, UpstreamCredential

TABLES: Mapping[str, type[Any]] = {
    "apikey": ApiKey, "managementkey": ManagementKey, "upstream": Upstream, "credential": UpstreamCredential, "model": Model,
    "route": Route,
}  # fmt: skip
"""The tables with a history, by their names in the query."""
PAGE_SIZE, MAX_EXPORTED = 50, 5000
LEVELS = {"+": "success", "~": "info", "-": "danger"}
UNTRACKED = frozenset({"history_id", "history_date", "history_change_reason", "history_type", "history_user", "updated_at", "created_at"})


class Change(NamedTuple):
    """One entry. ``fields``: name, value before, value after. ``url``: the object's page; empty after its deletion."""

    moment: datetime
    kind: str
    name: str
    url: str
    action: str
    level: str
    user: str
    origin: str
    fields: list[tuple[str, str, str]]


def page(request: HttpRequest) -> HttpResponse:
    """The list, or its CSV with ``format=csv``.

    Query: ``kind`` (a table), ``object`` (an id; of a model also its routes), ``who`` (a part of a user's name or of the origin),
    ``before`` (ISO 8601).
    """
    kinds = [kind for kind, table in TABLES.items() if request.user.has_perm(_view_permission(table))]
    if not kinds:
        raise PermissionDenied
    chosen = [request.GET["kind"]] if request.GET.get("kind") in kinds else kinds
    before = parse_datetime(request.GET.get("before", "").replace(" ", "+"))
    conditions = _who(request.GET.get("who", "").strip())
    if before is not None and before.tzinfo is not None:
        conditions &= Q(history_date__lt=before)
    is_export = request.GET.get("format") == "csv"
    limit = MAX_EXPORTED if is_export else PAGE_SIZE
    entries = changes(chosen, conditions, _id(request.GET.get("object", "")), limit + 1)
    if is_export:
        return _csv(entries[:limit])
    query = request.GET.copy()
    query.pop("before", None)
    older = query.copy()
    if len(entries) > limit:
        older["before"] = entries[limit - 1].moment.isoformat()
    context = {
        **admin.site.each_context(request),
        "title": "Change log",
        "changes": entries[:limit],
        "kinds": [(kind, str(TABLES[kind]._meta.verbose_name)) for kind in kinds],  # noqa: SLF001  (Django's documented API)
        "kind": request.GET.get("kind", ""),
        "who": request.GET.get("who", ""),
        "object_id": request.GET.get("object", ""),
        "query": query.urlencode(),
        "older": older.urlencode() if len(entries) > limit else "",
    }
    return render(request, "admin/pages/change_log.html", context)


def changes(kinds: list[str], conditions: Q, object_id: uuid.UUID | None, limit: int) -> list[Change]:
    """The newest changes of several tables; three queries for each."""
    entries = [change for kind in kinds for change in _of_table(kind, conditions, object_id, limit)]
    return sorted(entries, key=lambda change: change.moment, reverse=True)[:limit]


def _of_table(kind: str, conditions: Q, object_id: uuid.UUID | None, limit: int) -> Iterator[Change]:
    table = TABLES[kind]
    history = table.history
    rows: QuerySet[Any] = history.filter(conditions).select_related("history_user")
    if object_id is not None:
        rows = rows.filter(Q(id=object_id) | (Q(model_id=object_id) if table is Route else Q()))
    earlier = history.filter(id=OuterRef("id"), history_id__lt=OuterRef("history_id")).order_by("-history_id").values("history_id")[:1]
    records = list(rows.annotate(earlier_id=Subquery(earlier)).order_by("-history_date", "-history_id")[:limit])
    before = history.in_bulk([record.earlier_id for record in records if record.earlier_id])
    existing = set(table._default_manager.filter(pk__in={record.id for record in records}).values_list("pk", flat=True))  # noqa: SLF001
    for record in records:
        user = record.history_user
        options = table._meta  # noqa: SLF001  (Django's documented API)
        url = reverse(f"admin:{options.app_label}_{options.model_name}_change", args=(record.id,)) if record.id in existing else ""
        yield Change(
            moment=record.history_date,
            kind=str(options.verbose_name),
            name=_name(record),
            url=url,
            action=ACTIONS[record.history_type],
            level=LEVELS[record.history_type],
            user=user.get_username() if user is not None else "",
            origin=(record.history_change_reason or "").removeprefix(SEPARATOR),
            fields=_differences(before.get(record.earlier_id), record) if record.history_type == "~" else [],
        )


def _name(record: Any) -> str:
    """What the object was called; a route by its remote name."""
    for column in ("name", "remote_name", "key_prefix"):
        if getattr(record, column, ""):
            return str(getattr(record, column))
    return str(record.id)[:8]


def _differences(before: Row | None, after: Row) -> list[tuple[str, str, str]]:
    if before is None:
        return []
    columns = [field.attname for field in after._meta.concrete_fields if field.name not in UNTRACKED]  # noqa: SLF001
    pairs = ((column, getattr(before, column), getattr(after, column)) for column in columns)
    return [(column.replace("_", " "), _shown(old), _shown(new)) for column, old, new in pairs if old != new]


def _shown(value: object) -> str:
    return "none" if value in (None, "", [], {}) else str(value)


def _who(text: str) -> Q:
    return Q(history_user__username__icontains=text) | Q(history_change_reason__icontains=text) if text else Q()


def _id(text: str) -> uuid.UUID | None:
    try:
        return uuid.UUID(text)
    except ValueError:
        return None


def _view_permission(table: type[Any]) -> str:
    options = table._meta  # noqa: SLF001  (Django's documented API)
    return f"{options.app_label}.view_{options.model_name}"


def _csv(entries: list[Change]) -> HttpResponse:
    """One line for each changed field; spreadsheets must not take a value for a formula."""
    response = HttpResponse(content_type="text/csv; charset=utf-8", headers={"Content-Disposition": 'attachment; filename="changes.csv"'})
    writer = csv.writer(response)
    writer.writerow(("time", "kind", "object", "action", "user", "origin", "field", "before", "after"))
    for change in entries:
        facts = (change.moment.isoformat(), change.kind, change.name, change.action, change.user, change.origin)
        for field in change.fields or [("", "", "")]:
            writer.writerow([f"'{cell}" if cell.startswith(("=", "+", "-", "@")) else cell for cell in (*facts, *field)])
    return response

"""Search of the request log: by every id that a client holds, at any age; by names and error texts, in a period."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any, TypeVar

from django.db.models import Q, QuerySet
from django.db.models.functions import Lower
from django.http import HttpRequest, QueryDict
from django.utils import timezone

from billing.models import RequestLog
from upstreams.models import Model

RowsT = TypeVar("RowsT", bound=QuerySet[Any])
MAX_MODELS = 50
ALL_TIME = "all"
"""The query parameter that extends searches and totals from :data:`FIRST_PERIOD` to the whole log."""
FIRST_PERIOD = timedelta(hours=24)
TIME_PARAMETERS = ("period", "timestamp_from_0", "timestamp_to_0")
TEXT_COLUMNS = ("error_message", "error_type", "key_name", "upstream_name")


def is_bounded(query: QueryDict) -> bool:
    """Whether a URL of the log says which time it means: by a filter, or by :data:`ALL_TIME`."""
    return any(query.get(name) for name in (*TIME_PARAMETERS, ALL_TIME))


def recent(rows: QuerySet[Any], query: QueryDict) -> QuerySet[Any]:
    """The rows of :data:`FIRST_PERIOD`, unless the URL says which time it means."""
    return rows if is_bounded(query) else rows.filter(timestamp__gte=timezone.now() - FIRST_PERIOD)


def search(request: HttpRequest, rows: QuerySet[Any], text: str) -> QuerySet[Any]:
    """The rows that a text describes.

    Ids, in any case, have indexes and are found in the whole log: of the request, the response, the row, the session. If no row has
    such an id, the rows of a period are read: those whose model, key, upstream or error contains the text.
    """
    if with_id(RequestLog.objects.all(), text).exists():
        return with_id(rows, text)
    names = Model.objects.filter(Q(name__icontains=text) | Q(aliases__icontains=text)).values_list("name", "aliases")[:MAX_MODELS]
    models = {text} | {name for row in names for name in (row[0], *row[1]) if text.lower() in name.lower()}
    matching = Q(model__in=sorted(models))
    for column in TEXT_COLUMNS:
        matching |= Q(**{f"{column}__icontains": text})
    return recent(rows, request.GET).filter(matching)


def with_id(rows: RowsT, text: str) -> RowsT:
    """The rows that have a text as an id of theirs, in any case."""
    matching: RowsT = rows.alias(any_case=Lower("request_id"), response=Lower("response_id")).filter(_by_id(text.strip()))
    return matching


def _by_id(text: str) -> Q:
    """The condition of rows with this id; its aliases `any_case` and `response` are the indexed expressions."""
    lower = text.lower()
    by_id = Q(any_case=lower) | (Q(response=lower) & ~Q(response_id="")) | Q(session_id__in={text, lower})
    try:
        return by_id | Q(pk=uuid.UUID(text))
    except ValueError:
        return by_id

"""``/api/v1/sessions``: the sessions that clients name, and the requests of each."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from ninja import Query, Router

from accounts.common.api_envelope import ApiError
from accounts.common.api_resource import page_envelope
from accounts.common.api_schema import Page, Paging, responses
from billing.api import stats
from billing.api.log_items import log_item
from billing.api.logs import LogItem
from billing.api.stats import StatsFilters
from billing.api.stats_items import GroupItem
from billing.models import RequestLog

router = Router(tags=["sessions"])


@router.get("", response=responses(Page[GroupItem]), exclude_unset=True)
def list_sessions(request: HttpRequest, filters: Query[StatsFilters]) -> Any:
    """Sessions whose requests are in the log, with their totals, the dearest first: the same as `/stats/by-session`."""
    return stats.by_session(request, filters)


@router.get("/{path:session_id}", response=responses(Page[LogItem]))
def get_session(request: HttpRequest, session_id: str, paging: Query[Paging]) -> dict[str, Any]:
    """The requests of one session, the oldest first."""
    rows = RequestLog.objects.filter(session_id=session_id.replace("\0", "")).order_by("timestamp", "id")
    if not rows.exists():
        raise ApiError("not_found", "Session not found")
    return page_envelope(rows, paging, show=log_item)

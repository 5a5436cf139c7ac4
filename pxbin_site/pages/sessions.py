"""Sessions of agents: the newest ones with their cost, and the calls of one as a tree."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Count, Max, Min, Q, Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone

from billing.admin import formatting
from billing.models import RequestLog
from billing.outcomes import Outcome

PERIODS = {"24h": ("24 hours", timedelta(hours=24)), "7d": ("7 days", timedelta(days=7)), "30d": ("30 days", timedelta(days=30))}
MAX_SESSIONS, MAX_CALLS = 100, 1000


class Call(NamedTuple):
    """One request of a session. ``is_side``: it is of another model than most, as those of sub-agents are."""

    row: RequestLog
    outcome: str
    is_side: bool
    switch: str
    tokens: str
    cache: str
    cost: str


def page(request: HttpRequest) -> HttpResponse:
    """The newest sessions of a period (query ``period``), or one of them (query ``id``)."""
    if not request.user.has_perm("billing.view_requestlog"):
        raise PermissionDenied
    session_id = request.GET.get("id", "")
    period = request.GET.get("period", "") if request.GET.get("period") in PERIODS else "24h"
    context: dict[str, Any] = {**admin.site.each_context(request), "periods": PERIODS, "period": period, "session_id": session_id}
    if session_id:
        context |= {"title": "Session", **_session(session_id)}
    else:
        context |= {"title": "Sessions", "sessions": _newest(PERIODS[period][1]), "max_sessions": MAX_SESSIONS}
    return render(request, "admin/pages/sessions.html", context)


def _newest(length: timedelta) -> list[dict[str, Any]]:
    rows = RequestLog.objects.filter(timestamp__gte=timezone.now() - length).exclude(session_id="").order_by()
    sessions = rows.values("session_id").annotate(
        first=Min("timestamp"),
        last=Max("timestamp"),
        calls=Count("pk"),
        failed=Count("pk", filter=Q(outcome=Outcome.FAILED)),
        models=Count("model", distinct=True),
        key=Max("key_name"),
        client=Max("user_agent"),
        spent=Sum("cost"),
        fresh=Sum("input_tokens"),
        cached=Sum("cache_read_tokens"),
        written=Sum("cache_write_5m_tokens") + Sum("cache_write_1h_tokens"),
    )
    return [
        {
            **session,
            "cost": formatting.NONE if session["spent"] is None else formatting.rounded_dollars(session["spent"]),
            "cache": _share(session["cached"], session["fresh"] + session["cached"] + session["written"]),
        }
        for session in sessions.order_by("-last")[:MAX_SESSIONS]
    ]


def _session(session_id: str) -> dict[str, Any]:
    """The calls of a session in their order, and their sums."""
    rows = list(RequestLog.objects.filter(session_id=session_id).order_by("timestamp", "id")[: MAX_CALLS + 1])
    calls, previous = [], ""
    counts = Counter(row.model for row in rows)
    main = counts.most_common(1)[0][0] if counts else ""
    for row in rows[:MAX_CALLS]:
        total = row.input_tokens + row.cache_read_tokens + row.cache_creation_tokens
        calls.append(
            Call(
                row=row,
                outcome=formatting.outcome_label(row.outcome, row.status_code),
                is_side=row.model != main,
                switch=row.model if row.model != previous else "",
                tokens=f"{total:,} → {row.output_tokens:,}",
                cache=_share(row.cache_read_tokens, total),
                cost=formatting.NONE if row.cost is None else formatting.dollars(row.cost),
            )
        )
        previous = row.model
    priced = [row.cost for row in rows if row.cost is not None]
    read = sum(row.cache_read_tokens for row in rows)
    total = read + sum(row.input_tokens + row.cache_creation_tokens for row in rows)
    return {
        "calls": calls,
        "is_cut": len(rows) > MAX_CALLS,
        "figures": [
            ("Calls", f"{len(calls):,}"),
            ("Cost", formatting.rounded_dollars(sum(priced)) if priced else formatting.NONE),
            ("Input from a cache", _share(read, total)),
            ("Models", ", ".join(f"{model} ({count})" for model, count in counts.most_common())),
            ("Model switches", f"{max(0, sum(bool(call.switch) for call in calls) - 1):,}"),
            ("Failed", f"{sum(row.outcome == Outcome.FAILED for row in rows):,}"),
        ],
    }


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.0%}" if whole else formatting.NONE

"""The start page: first steps, the requests of the last 24 hours, and issues that need attention."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from itertools import islice
from typing import Any, NamedTuple

from django.db.models import Count, Q, Sum
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from accounts.models import ApiKey
from billing.admin.formatting import NONE, OUTCOME_LEVELS, dollars, rounded_dollars
from billing.models import RequestLog
from billing.outcomes import Outcome
from upstreams.admin import status
from upstreams.echo import URL_PREFIX
from upstreams.models import Route, Upstream
from upstreams.routing import live_state

MAX_COUNTED = 10_000
"""Limit of the requests that are counted: the newest ones, read through an index."""
MAX_ISSUES = 10


class Step(NamedTuple):
    """One of the first steps. ``done``: what exists already, empty if nothing does.

    The step is shown to users with the ``permission``.
    """

    title: str
    text: str
    done: str
    url: str
    button: str
    permission: str


class Issue(NamedTuple):
    """Something that needs attention, with the page on which it can be changed."""

    name: str
    word: str
    level: str
    detail: str
    url: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """Add the values of the start page to the context of its template (unfold's DASHBOARD_CALLBACK)."""
    has_permission = request.user.has_perm
    return {
        **context,
        "title": "Start",
        "steps": [step for step in steps() if has_permission(step.permission)],
        "day": last_day() if has_permission("billing.view_requestlog") else None,
        "issues": list(islice(issues(), MAX_ISSUES)) if has_permission("upstreams.view_upstream") else None,
    }


def steps() -> list[Step]:
    """The first steps and whether they are done: four queries."""
    active_keys = ApiKey.objects.aggregate(number=Count("pk", filter=Q(is_active=True)))["number"]
    upstreams = Upstream.objects.filter(is_active=True).exclude(base_url__startswith=URL_PREFIX).count()
    routes = Route.objects.filter(is_active=True, model__is_active=True).exclude(upstream__base_url__startswith=URL_PREFIX)
    models = routes.values("model").distinct().count()
    newest = RequestLog.objects.newest_first().values_list("timestamp", flat=True).first()
    return [
        Step(
            "Create an API key",
            "One for each person or program. Its page shows the configuration of Claude Code, Codex and curl.",
            f"{active_keys} active" if active_keys else "",
            reverse("admin:accounts_apikey_add"),
            "Create a key",
            "accounts.add_apikey",
        ),
        Step(
            "Connect an upstream",
            "A provider's endpoint and your key for it. The built-in echo needs neither.",
            f"{upstreams} besides the echo" if upstreams else "",
            reverse("admin:upstreams_upstream_add"),
            "Add an upstream",
            "upstreams.add_upstream",
        ),
        Step(
            "Import its models",
            "Select models that the upstream lists, on its page.",
            f"{models} besides the echo's" if models else "",
            reverse("admin:upstreams_upstream_changelist"),
            "Choose an upstream",
            "upstreams.view_upstream",
        ),
        Step(
            "Send a request",
            "With one of the examples on the right; it appears in the log within a second.",
            f"last request {newest:%Y-%m-%d %H:%M:%S} UTC" if newest else "",
            reverse("admin:billing_requestlog_changelist"),
            "Open the log",
            "billing.view_requestlog",
        ),
    ]


def last_day() -> dict[str, Any]:
    """Outcomes and cost of the last 24 hours, of at most :data:`MAX_COUNTED` requests: one query."""
    newest = RequestLog.objects.since(timezone.now() - timedelta(hours=24)).newest_first().values("pk")[:MAX_COUNTED]
    rows = RequestLog.objects.filter(pk__in=newest).values("outcome").annotate(number=Count("pk"), spent=Sum("cost"), priced=Count("cost"))
    by_outcome = {row["outcome"]: row for row in rows.order_by("outcome")}
    total = sum(row["number"] for row in by_outcome.values())
    upstream_rows = [row for outcome, row in by_outcome.items() if outcome != Outcome.REJECTED]
    unknown = sum(row["number"] - row["priced"] for row in upstream_rows)
    costs = [row["spent"] for row in by_outcome.values() if row["spent"] is not None]
    spent = sum(costs) if costs else None
    log = reverse("admin:billing_requestlog_changelist")
    return {
        "total": f"{total:,}" + ("+" if total >= MAX_COUNTED else ""),
        "is_part": total >= MAX_COUNTED,
        "outcomes": [
            {
                "word": outcome,
                "level": OUTCOME_LEVELS[outcome],
                "number": f"{by_outcome[outcome]['number'] if outcome in by_outcome else 0:,}",
                "url": f"{log}?period=24h&outcome__exact={outcome}",
            }
            for outcome in Outcome
        ],
        "cost": rounded_dollars(spent) if spent is not None else NONE if not unknown else "unknown",
        "cost_exactly": dollars(spent),
        "unknown": unknown,
        "url": f"{log}?period=24h",
    }


def issues() -> Iterator[Issue]:
    """Upstreams, credentials and routes that need attention: three queries."""
    routing_state = live_state.current()
    for upstream in Upstream.objects.filter(is_active=True).prefetch_related("credentials"):
        url = reverse("admin:upstreams_upstream_change", args=(upstream.pk,))
        upstream_status = status.upstream_status(upstream, upstream.credentials.all(), routing_state)
        if upstream_status.label not in (status.Label.HEALTHY, status.Label.UNTRIED):
            yield Issue(upstream.name, upstream_status.label, upstream_status.level, upstream_status.detail, url)
        for credential in upstream.credentials.all():
            state = status.credential_status(credential, routing_state)
            if state.label in (status.Label.DISABLED, status.Label.MISSING) and upstream_status.label is not status.Label.UNUSABLE:
                yield Issue(f"{upstream.name}: {credential}", state.label, state.level, state.detail, url)
    for route in Route.objects.filter(is_active=True, vanished_at__isnull=False).select_related("model", "upstream")[:MAX_ISSUES]:
        url = reverse("admin:upstreams_model_change", args=(route.model_id,))
        detail = f"{route.upstream.name} no longer lists {route.remote_name or route.model.name}."
        yield Issue(str(route.model), "vanished", "warning", detail, url)

"""The start page: what to do first, how the last day went, and what needs somebody's attention."""

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
from billing.admin.formatting import NONE, OUTCOME_LEVELS, OUTCOME_WORDS, about, dollars
from billing.models import Outcome, RequestLog
from upstreams.admin import status
from upstreams.models import Route, Upstream
from upstreams.routing import live_state

MOST_COUNTED = 10_000
"""Requests of the last day that are looked at: the newest ones, found by an index."""
MOST_TROUBLES = 10


class Step(NamedTuple):
    """Something a newcomer does, in this order. ``done``: what there is of it, empty for nothing.

    Who lacks the ``permission`` is not shown the step.
    """

    title: str
    text: str
    done: str
    url: str
    button: str
    permission: str


class Trouble(NamedTuple):
    """Something that is not as it should be, and where to mend it."""

    name: str
    word: str
    level: str
    detail: str
    url: str


def dashboard(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the template of the start page is given besides."""
    may = request.user.has_perm
    return {
        **context,
        "title": "Start",
        "steps": [step for step in steps() if may(step.permission)],
        "day": last_day() if may("billing.view_requestlog") else None,
        "troubles": list(islice(troubles(), MOST_TROUBLES)) if may("upstreams.view_upstream") else None,
    }


def steps() -> list[Step]:
    """The way of a newcomer: four queries."""
    used = ApiKey.objects.aggregate(number=Count("pk", filter=Q(is_active=True)))["number"]
    upstreams = Upstream.objects.filter(is_active=True).exclude(base_url__startswith="echo:").count()
    routes = Route.objects.filter(is_active=True, model__is_active=True).exclude(upstream__base_url__startswith="echo:")
    models = routes.values("model").distinct().count()
    newest = RequestLog.objects.newest_first().values_list("timestamp", flat=True).first()
    return [
        Step(
            "Make an API key",
            "One for each person or program. It comes with ready-made lines for Claude Code, Codex and curl.",
            f"{used} active" if used else "",
            reverse("admin:accounts_apikey_add"),
            "Make a key",
            "accounts.add_apikey",
        ),
        Step(
            "Connect an upstream",
            "A provider's endpoint and your key for it. The built-in echo answers without one.",
            f"{upstreams} besides the echo" if upstreams else "",
            reverse("admin:upstreams_upstream_add"),
            "Add an upstream",
            "upstreams.add_upstream",
        ),
        Step(
            "Import its models",
            "On the upstream's page, choose among the models that it lists.",
            f"{models} besides the echo's" if models else "",
            reverse("admin:upstreams_upstream_changelist"),
            "Choose an upstream",
            "upstreams.view_upstream",
        ),
        Step(
            "Send a request",
            "With the lines on the right; it appears in the log within a second.",
            f"last one {newest:%Y-%m-%d %H:%M:%S} UTC" if newest else "",
            reverse("admin:billing_requestlog_changelist"),
            "Open the log",
            "billing.view_requestlog",
        ),
    ]


def last_day() -> dict[str, Any]:
    """How the requests of the last 24 hours ended, of the newest :data:`MOST_COUNTED` of them: one query."""
    newest = RequestLog.objects.since(timezone.now() - timedelta(hours=24)).newest_first().values("pk")[:MOST_COUNTED]
    rows = RequestLog.objects.filter(pk__in=newest).values("outcome").annotate(number=Count("pk"), spent=Sum("cost"), priced=Count("cost"))
    found = {row["outcome"]: row for row in rows.order_by("outcome")}
    total = sum(row["number"] for row in found.values())
    called = [row for outcome, row in found.items() if outcome != Outcome.REJECTED]
    unknown = sum(row["number"] - row["priced"] for row in called)
    known = [row["spent"] for row in found.values() if row["spent"] is not None]
    spent = sum(known) if known else None
    log = reverse("admin:billing_requestlog_changelist")
    return {
        "total": f"{total:,}" + ("+" if total >= MOST_COUNTED else ""),
        "is_part": total >= MOST_COUNTED,
        "outcomes": [
            {
                "word": OUTCOME_WORDS[outcome],
                "level": OUTCOME_LEVELS[outcome],
                "number": f"{found[outcome]['number'] if outcome in found else 0:,}",
                "url": f"{log}?period=24h&outcome__exact={outcome.value}",
            }
            for outcome in Outcome
        ],
        "cost": about(spent) if spent is not None else NONE if not unknown else "unknown",
        "cost_exactly": dollars(spent),
        "unknown": unknown,
        "url": f"{log}?period=24h",
    }


def troubles() -> Iterator[Trouble]:
    """Upstreams, keys and routes that somebody should look at: three queries."""
    known = live_state.current()
    for upstream in Upstream.objects.filter(is_active=True).prefetch_related("credentials"):
        where = reverse("admin:upstreams_upstream_change", args=(upstream.pk,))
        seen = status.upstream_status(upstream, upstream.credentials.all(), known)
        if seen.label not in (status.Label.HEALTHY, status.Label.UNTRIED):
            yield Trouble(upstream.name, seen.label, seen.level, seen.detail, where)
        for key in upstream.credentials.all():
            state = status.credential_status(key, known)
            if state.label in (status.Label.DISABLED, status.Label.MISSING) and seen.label is not status.Label.UNUSABLE:
                yield Trouble(f"{upstream.name}: {key}", state.label, state.level, state.detail, where)
    for route in Route.objects.filter(is_active=True, vanished_at__isnull=False).select_related("model", "upstream")[:MOST_TROUBLES]:
        where = reverse("admin:upstreams_model_change", args=(route.model_id,))
        detail = f"{route.upstream.name} does not list {route.remote_name or route.model.name} any more."
        yield Trouble(str(route.model), "vanished", "warning", detail, where)

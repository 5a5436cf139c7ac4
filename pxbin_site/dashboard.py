"""The start page: first steps, the figures of a period, and issues that need attention."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any, NamedTuple
from urllib.parse import urlencode

from django.conf import settings
from django.db.models import Count, Q
from django.http import HttpRequest
from django.urls import reverse

from accounts.models import ApiKey
from billing.admin import start_figures
from billing.models import RequestLog
from billing.reports.breakdowns import Group
from billing.request_log.journal import SPOOL_DIRECTORY
from billing.request_log.spool import Spool
from upstreams.admin import status
from upstreams.echo import URL_PREFIX
from upstreams.models import Route, Upstream
from upstreams.routing import live_state

MAX_ISSUES = 10
BACKLOG_SECONDS = 15
"""The age of a segment of the journal from which on it is an issue: usually it is written within a second."""


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
    first_steps = [step for step in steps() if has_permission(step.permission)]
    problems = list(islice(issues(), MAX_ISSUES)) if has_permission("upstreams.view_upstream") else None
    figures = start_figures.figures_of(request) if has_permission("billing.view_requestlog") else None
    if problems is not None and figures is not None:
        problems = [*backlog(), *unpriced_models(figures["unpriced"]), *problems][:MAX_ISSUES]
    return {
        **context,
        "title": "Start",
        "steps": first_steps,
        "is_set_up": all(step.done for step in first_steps),
        "figures": figures,
        "issues": problems,
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


def unpriced_models(groups: Iterable[Group]) -> Iterator[Issue]:
    """Models whose requests have no price, so that sums leave them out."""
    url = reverse("admin:billing_price_add")
    for group in groups:
        detail = f"{group.totals.unpriced:,} of {group.totals.requests:,} requests cost an unknown amount. Enter a price."
        yield Issue(group.name, "unpriced", "warning", detail, f"{url}?{urlencode({'name': group.name})}")


def backlog() -> Iterator[Issue]:
    """Finished requests that wait for longer than usual to be written into the log of this machine."""
    waiting = Spool(settings.PXBIN.data_dir / SPOOL_DIRECTORY).sealed()
    if not waiting:
        return
    try:
        seconds = time.time() - waiting[0].stat().st_mtime
    except FileNotFoundError:  # written meanwhile
        return
    if seconds > BACKLOG_SECONDS:
        detail = f"{len(waiting):,} segments of the log wait to be written, the oldest for {seconds:,.0f} seconds. Is the worker running?"
        yield Issue("Request log", "behind", "danger", detail, reverse("admin:billing_requestlog_changelist"))


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

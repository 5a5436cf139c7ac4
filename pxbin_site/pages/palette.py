"""The command palette (Ctrl-K): pages, keys, models and upstreams by name, requests by every id that a client holds, and actions."""

from __future__ import annotations

from collections.abc import Iterator

from django.http import HttpRequest
from django.urls import reverse
from unfold.dataclasses import SearchResult

from accounts.models import ApiKey
from billing.admin import log_search
from billing.models import RequestLog
from upstreams.models import Model, Upstream

MAX_RESULTS = 8
"""For each kind of objects."""
PAGES = (
    ("Connect a client", "connect", "accounts.view_apikey"), ("Usage", "usage", "billing.view_requestlog"),
    ("Sessions", "sessions", "billing.view_requestlog"), ("Routing simulator", "simulator", "upstreams.view_model"),
    ("Change log", "changes", "upstreams.view_upstream"), ("Jobs", "jobs", "upstreams.view_upstream"),
    ("Make an API key", "admin:accounts_apikey_add", "accounts.add_apikey"),
    ("Add an upstream", "admin:upstreams_upstream_add", "upstreams.add_upstream"),
    ("Add a model", "admin:upstreams_model_add", "upstreams.add_model"),
    ("Set a price", "admin:billing_price_add", "billing.add_price"),
)  # fmt: skip
"""Pages that belong to no table, and actions: title, name of the URL, permission."""


def search(request: HttpRequest, text: str) -> list[SearchResult]:
    """What a text of the palette may mean, for a user with these permissions (unfold's ``search_callback``)."""
    return [*_pages(request, text), *_objects(request, text), *_requests(request, text)] if text.strip() else []


def _pages(request: HttpRequest, text: str) -> Iterator[SearchResult]:
    for title, name, permission in PAGES:
        if text.lower() in title.lower() and request.user.has_perm(permission):
            yield SearchResult(title=title, description="Page", link=reverse(name), icon="arrow_forward")


def _objects(request: HttpRequest, text: str) -> Iterator[SearchResult]:
    for table, icon in ((ApiKey, "key"), (Model, "neurology"), (Upstream, "cloud")):
        options = table._meta  # noqa: SLF001  (Django's documented API)
        place = f"{options.app_label}_{options.model_name}"
        if not request.user.has_perm(f"{options.app_label}.view_{options.model_name}"):
            continue
        for row in table._default_manager.filter(name__icontains=text).order_by("name")[:MAX_RESULTS]:  # noqa: SLF001  (as above)
            link = reverse(f"admin:{place}_change", args=(row.pk,))
            yield SearchResult(title=str(row), description=str(options.verbose_name), link=link, icon=icon)
        if table is Upstream and request.user.has_perm("upstreams.change_upstream"):
            yield from _switches(text)


def _switches(text: str) -> Iterator[SearchResult]:
    for row in Upstream.objects.filter(name__icontains=text).order_by("name")[:MAX_RESULTS]:
        title = f"Switch {row.name} {'off' if row.is_active else 'on'}"
        link = reverse("admin:upstreams_upstream_switch", args=(row.pk,))
        yield SearchResult(title=title, description="Action", link=link, icon="power_settings_new")


def _requests(request: HttpRequest, text: str) -> Iterator[SearchResult]:
    if not request.user.has_perm("billing.view_requestlog"):
        return
    for row in log_search.with_id(RequestLog.objects.all(), text).newest_first()[:MAX_RESULTS]:
        link = reverse("admin:billing_requestlog_change", args=(row.pk,))
        yield SearchResult(title=row.request_id, description=f"Request: {row.model} {row.outcome}", link=link, icon="receipt_long")

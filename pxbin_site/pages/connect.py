"""The page that connects a client: its configuration with a fresh key, and a test that waits for its first call."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils import timezone
from django.utils.dateparse import parse_datetime

from accounts import keys
from accounts.common import wildcards
from accounts.common.key_kinds import KeyKind
from accounts.models import ApiKey
from billing.admin.formatting import OUTCOME_LEVELS
from billing.models import RequestLog
from pxbin_site.pages.client_setups import SETUPS, Gateway
from upstreams.models import Model

KEY_PLACEHOLDER = "pxb_…"
MAX_CHOICES = 500
WAIT = timedelta(minutes=30)
"""How long a test waits for a call."""


def page(request: HttpRequest) -> HttpResponse:
    """The configuration of one client. A POST makes a key for it, which this answer shows once.

    Query: ``client`` (a name in ``SETUPS``), ``model``, ``key`` (the id of a key whose models are offered, and whose call is awaited).
    """
    if not request.user.has_perm("accounts.view_apikey"):
        raise PermissionDenied
    client = request.GET.get("client", "") if request.GET.get("client") in SETUPS else next(iter(SETUPS))
    row = find_key(request.GET.get("key", ""))
    plaintext = KEY_PLACEHOLDER
    if request.method == "POST":
        if not request.user.has_perm("accounts.add_apikey"):
            raise PermissionDenied
        plaintext, made = keys.issue(KeyKind.LLM, name=request.POST.get("name", "").strip()[:100] or SETUPS[client].title)
        row = made if isinstance(made, ApiKey) else None
        messages.success(request, "The key is ready. It is shown only now.")
    models = usable_models(row)
    model = request.GET.get("model", "") if request.GET.get("model") in models else next(iter(models), "")
    gateway = Gateway(request.build_absolute_uri("/").rstrip("/"), plaintext, model or "<model>", models.get(model))
    setup = SETUPS[client]
    context = {
        **admin.site.each_context(request),
        "title": "Connect a client",
        "client": client,
        "setup": setup,
        "setups": SETUPS,
        "snippets": [(f"{snippet.place}", snippet.text) for snippet in setup.snippets(gateway)],
        "models": list(models),
        "model": model,
        "keys": ApiKey.objects.filter(is_active=True).order_by("name", "key_prefix")[:MAX_CHOICES],
        "key": row,
        "plaintext": "" if plaintext == KEY_PLACEHOLDER else plaintext,
        "since": timezone.now().isoformat(),
    }
    response = render(request, "admin/pages/connect.html", context)
    response["Cache-Control"] = "no-store"
    return response


def wait_for_call(request: HttpRequest) -> HttpResponse:
    """A piece of HTML: the first call since a moment (``since``, ISO 8601) with a key (``key``, empty for any), or that none has come."""
    if not request.user.has_perm("billing.view_requestlog"):
        raise PermissionDenied
    since = parse_datetime(request.GET.get("since", "").replace(" ", "+")) or timezone.now()
    since = since if since.tzinfo else since.replace(tzinfo=UTC)
    rows = RequestLog.objects.filter(timestamp__gte=max(since, timezone.now() - WAIT))
    if row := find_key(request.GET.get("key", "")):
        rows = rows.filter(api_key_id=row.pk)
    call = rows.order_by("timestamp", "id").first()
    is_over = datetime.now(UTC) - since > WAIT
    level = OUTCOME_LEVELS.get(call.outcome, "") if call else ""
    context: dict[str, Any] = {"call": call, "level": level, "is_over": is_over, "query": request.GET.urlencode()}
    return render(request, "admin/pages/first_call.html", context)


def usable_models(key: ApiKey | None) -> dict[str, int | None]:
    """The names of served models that a key may use (``None``: any key), each with its context window; real ones before the echo's."""
    rows = Model.objects.filter(is_active=True, path_prefix="", routes__is_active=True, routes__upstream__is_active=True)
    rows = rows.exclude(name__contains="*").order_by("name").distinct()
    windows = dict(rows.values_list("name", "context_window")[:MAX_CHOICES])
    allowed = None if key is None else key.allowed_models
    names = [name for name in windows if allowed is None or any(wildcards.match(pattern, name) is not None for pattern in allowed)]
    return {name: windows[name] for name in sorted(names, key=lambda name: name.startswith("echo"))}


def find_key(pk: str) -> ApiKey | None:
    """The key with this id, if there is one."""
    try:
        return ApiKey.objects.filter(pk=uuid.UUID(pk)).first() if pk else None
    except ValueError:
        return None

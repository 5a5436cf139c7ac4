"""``/me``: what the holder of a client key may know of it: usage, limits, models, and how to set up clients.

The key is entered into a form and sent once; it is neither stored nor in the page. The page needs no login and no script.
"""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from asgiref.sync import async_to_sync
from django.db import DatabaseError, InterfaceError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from accounts import keys
from accounts.common.client_address import client_address
from accounts.keys import Key
from accounts.limits.budget_states import budgets_left
from billing.admin.formatting import dollars
from billing.reports import windows
from billing.reports.own_usage import own_usage
from proxy.own_usage import limits
from proxy.translation.errors import GatewayError
from upstreams.catalog import snapshot

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; font-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
PERIOD = "30d"
LIMIT_TITLES = {
    "rate_limit": "Requests per minute",
    "tokens_per_minute": "Tokens per minute",
    "max_concurrency": "Concurrent requests",
    "expires_at": "Valid until",
}
"""The limits with a title of their own; others are shown by their names."""
NO_LIMIT = {"expires_at": "no end"}


@csrf_exempt  # nothing that a browser sends by itself opens the page: the key is in the form
@require_http_methods(["GET", "HEAD", "POST"])
def page(request: HttpRequest) -> HttpResponse:
    """The form, or the page of the key that was entered."""
    context: dict[str, Any] = {}
    status = 200
    if request.method == "POST":
        try:
            context = _facts(_client_key(request))
        except GatewayError as error:
            context, status = {"error": error.failure.message}, 401 if error.failure.kind == "authentication" else 403
        except (DatabaseError, InterfaceError):
            context, status = {"error": "Usage cannot be read at the moment. Try again in a minute."}, 503
    response = render(request, "pxbin/me.html", context, status=status)
    response["Content-Security-Policy"] = POLICY
    response["Cache-Control"] = "no-store"
    return response


def _client_key(request: HttpRequest) -> Key:
    """The key that was entered. Raises :class:`GatewayError`."""
    key = async_to_sync(keys.authenticate)(request.POST.get("key", "").strip())
    keys.check_address(key, client_address(str(request.META.get("REMOTE_ADDR", "")), request.headers))
    return key


def _facts(key: Key) -> dict[str, Any]:
    window = windows.last(windows.PERIODS[PERIOD], datetime.now(UTC))
    usage = own_usage(key.id, windows.Window(window.in_buckets(86_400).begin, window.end))
    return {
        "key": key,
        "usage": _shown(usage),
        "budgets": [(budget, dollars(budget.left), dollars(budget.amount)) for budget in budgets_left(key)],
        "models": [_shown(item) for item in usage["by_model"]],
        "days": [_shown(item) for item in reversed(usage["by_day"])],
        "limits": [
            (LIMIT_TITLES.get(name, name.replace("_", " ").capitalize()), NO_LIMIT.get(name, "unlimited") if value is None else value)
            for name, value in limits(key).items()
        ],
        "allowed": [model.name for model in snapshot.current().listed("") if keys.may_use(key, model.name)],
        "patterns": None if key.allowed_models is None else list(key.allowed_models),
    }


def _shown(item: dict[str, Any]) -> dict[str, Any]:
    """A line of the page."""
    return {
        "name": item.get("model") or item.get("date") or "",
        "requests": item["total_requests"],
        "errors": item["error_count"],
        "input": item["total_input_tokens"] + item["total_cache_read_tokens"] + item["total_cache_creation_tokens"],
        "output": item["total_output_tokens"],
        "cost": dollars(Decimal(str(item["total_cost_usd"] or 0))),
        "unpriced": item["unpriced_count"],
    }

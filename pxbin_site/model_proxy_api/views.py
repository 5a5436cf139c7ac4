"""``/v1/admin``: the management API of model-proxy, for scripts with a management key."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import wraps
from typing import Any

from django.db.models import Q
from django.http import HttpRequest, JsonResponse
from django.views.decorators.csrf import csrf_exempt

from accounts.api.authentication import management_key
from accounts.common.api_envelope import ApiError, error_envelope
from accounts.keys import ManagementKeyRefused
from billing.api.log_items import log_item
from billing.models import RequestLog
from pxbin_site.config_files.exporting import references
from pxbin_site.model_proxy_api import changes, shown
from pxbin_site.model_proxy_api.events import events_of
from upstreams.models import Model, Upstream

LOGS, MOST_LOGS = 100, 1000
SINGULAR = {"models": "model", "providers": "provider"}
NAME_FIELDS = {"models": "logical_name", "providers": "name"}
REVEAL = "Secrets are never shown; exports and lists have references to them"
Answer = tuple[dict[str, Any], int]


def endpoint(**methods: Callable[..., Answer]) -> Callable[..., JsonResponse]:
    """A view with a function for each method. It checks the key, and answers errors in the shape of the management API."""

    @csrf_exempt
    @wraps(endpoint)
    def view(request: HttpRequest, **captured: str) -> JsonResponse:
        try:
            management_key(request)
            function = methods.get(request.method or "")
            if function is None:
                allowed = {"Allow": ", ".join(sorted(methods))}
                return JsonResponse(error_envelope("invalid_request", "Method not allowed"), status=405, headers=allowed)
            content, status = function(request, **captured)
            return JsonResponse(content, status=status)
        except ManagementKeyRefused as refusal:
            return JsonResponse({"error": refusal.message}, status=refusal.status)
        except ApiError as error:
            return JsonResponse(error_envelope(error.kind, error.message), status=error.status)

    return view


def _body(request: HttpRequest) -> dict[str, Any]:
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise ApiError("invalid_request", "Invalid JSON body: an object is expected")
    return body


def _is_on(request: HttpRequest, name: str) -> bool:
    return request.GET.get(name, "").lower() in {"1", "true", "yes", "on"}


# --- models and providers ------------------------------------------------------------------------------------------------


def list_entries(_request: HttpRequest, kind: str) -> Answer:
    """All models, or all providers."""
    if kind == "models":
        items = [shown.model(row) for row in Model.objects.filter(path_prefix="").order_by("name")]
    else:
        names = references()
        items = [shown.provider(row, names) for row in Upstream.objects.prefetch_related("credentials").order_by("name")]
    return {kind: items, "count": len(items)}, 200


def create_entry(request: HttpRequest, kind: str) -> Answer:
    """A new model or provider; one that exists is not changed."""
    body = _body(request)
    name = body.get(NAME_FIELDS[kind]) or body.get("name")
    if not isinstance(name, str) or not name:
        raise ApiError("invalid_request", f"{NAME_FIELDS[kind]} is required")
    if changes.find(kind, name) is not None:
        raise ApiError("conflict", f"The {SINGULAR[kind]} {name} exists already")
    _write(kind, name, body, replaces=True)
    return _shown(kind, name), 201


def get_entry(_request: HttpRequest, kind: str, name: str) -> Answer:
    """One model or provider."""
    return _shown(kind, name), 200


def replace_entry(request: HttpRequest, kind: str, name: str) -> Answer:
    """A model or provider as the body has it."""
    _shown(kind, name)
    _write(kind, name, _body(request), replaces=True)
    return _shown(kind, name), 200


def merge_entry(request: HttpRequest, kind: str, name: str) -> Answer:
    """A model or provider with the fields of the body; objects are merged, and null removes a field."""
    body = _body(request)
    _write(kind, name, _merged(_shown(kind, name), body), replaces="model_routings" in body)
    return _shown(kind, name), 200


def delete_entry(_request: HttpRequest, kind: str, name: str) -> Answer:
    """Delete a model or provider."""
    _shown(kind, name)
    changes.find(kind, name).delete()
    return {"status": "deleted", "name": name}, 200


def _shown(kind: str, name: str) -> dict[str, Any]:
    row = changes.find(kind, name)
    if row is None:
        raise ApiError("not_found", f"There is no {SINGULAR[kind]} {name}")
    return shown.model(row) if kind == "models" else shown.provider(row, references())


def _write(kind: str, name: str, body: dict[str, Any], *, replaces: bool) -> None:
    if kind == "models":
        changes.write_model(name, body, replaces=replaces)
    else:
        changes.write_provider(name, body)


def _merged(current: Any, update: Any) -> Any:
    if not isinstance(current, dict) or not isinstance(update, dict):
        return update
    merged = {name: _merged(current.get(name), value) for name, value in update.items() if value is not None}
    return {**{name: value for name, value in current.items() if name not in update}, **merged}


# --- bundle, environment, log --------------------------------------------------------------------------------------------


def export_bundle(_request: HttpRequest) -> Answer:
    """Everything as a bundle, without secrets."""
    return shown.bundle(), 200


def import_bundle(request: HttpRequest) -> Answer:
    """Import a bundle; with ``dry_run=true`` only the differences are returned."""
    body = _body(request)
    options = body.get("options")
    dry_run = _is_on(request, "dry_run") or bool(isinstance(options, dict) and options.get("dry_run"))
    report = changes.import_bundle(body, dry_run=dry_run)
    return {"dry_run": dry_run, **report.as_object()}, 200


def get_environment(request: HttpRequest) -> Answer:
    """The variables, with references in place of secrets."""
    if _is_on(request, "reveal"):
        raise ApiError("permission_error", REVEAL)
    return {"environment": shown.environment()}, 200


def put_environment(request: HttpRequest) -> Answer:
    """Store new keys under the names of their variables."""
    body = _body(request)
    values = body.get("environment", body)
    if not isinstance(values, dict):
        raise ApiError("invalid_request", "environment: must be an object")
    stored, reasons = changes.set_variables(values)
    return {"updated": stored, "not_taken": reasons}, 200


def logs(request: HttpRequest) -> Answer:
    """The newest requests of the log."""
    text = request.GET.get("limit", "")
    limit = min(int(text), MOST_LOGS) if text.isascii() and text.isdigit() and len(text) < 9 else LOGS
    records = [log_item(row) for row in RequestLog.objects.newest_first()[:limit]]
    return {"count": len(records), "total_in_buffer": RequestLog.objects.count(), "records": records}, 200


def events(_request: HttpRequest, request_id: str) -> Answer:
    """What happened to one request, by its id or by its row's."""
    condition = Q(request_id=request_id)
    with suppress(ValueError):  # it may be the client's own id
        condition |= Q(pk=uuid.UUID(request_id))
    row = RequestLog.objects.filter(condition).newest_first().first()
    if row is None:
        raise ApiError("not_found", f"There is no request {request_id}")
    return {"request_id": row.request_id, "events": events_of(row)}, 200

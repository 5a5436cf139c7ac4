"""The page on which an admin selects the models of an upstream to import."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.common.admin import format_count
from proxy.translation.dialects.upstream_api import ListedModel
from upstreams.admin.import_candidates import ImportCandidates, add_routes, import_candidates
from upstreams.forms import ImportForm
from upstreams.models import Upstream
from upstreams.monitoring import discovery


def page(request: HttpRequest, row: Upstream, *, site_context: dict[str, Any], models_url: str) -> HttpResponse:
    """Show the candidates, or import the selected ones. ``site_context``: the context of every page of the admin."""
    try:
        listed = discovery.list_models(row)
    except discovery.DiscoveryFailed as failure:
        messages.error(request, error_message(row, failure))
        return redirect("admin:upstreams_upstream_change", row.pk)
    candidates = import_candidates(row, listed)
    form = ImportForm(
        request.POST if request.method == "POST" else None,
        names=[(model.name, _title(model)) for model in candidates.models],
        routes=[(route.form_value, f"{route.model} would also be served as {route.listed.name}") for route in candidates.routes],
    )
    if request.method == "POST" and form.is_valid():
        _import_selected(request, row, candidates, form.cleaned_data)
        return redirect(models_url)
    context = {
        **site_context,
        "title": f"Import models of {row.name}",
        "original": row,
        "form": form,
        "listed": len(listed),
        "candidates": candidates,
    }
    return render(request, "admin/upstreams/upstream/import_models.html", context)


def _import_selected(request: HttpRequest, row: Upstream, candidates: ImportCandidates, selected: dict[str, Any]) -> None:
    imported = discovery.import_models(row, [model for model in candidates.models if model.name in selected["names"]])
    routes = [route for route in candidates.routes if route.form_value in selected["routes"]]
    models = add_routes(row, routes, as_fallback=selected["place"] == "behind")
    counts = ((len(imported.created), "model", "imported"), (len(models), "route", "added"))
    summary = ", ".join(f"{format_count(number, noun)} {done}" for number, noun, done in counts if number)
    messages.success(request, f"{summary or 'Nothing was imported'}.")


def error_message(row: Upstream, failure: discovery.DiscoveryFailed) -> str:
    """Why the models of an upstream could not be listed; a failed connection as health checks describe it."""
    is_connection = failure.stage is discovery.Stage.CONNECTION
    return f"{row.name}: {f'Connection failed: {failure.__cause__}' if is_connection else failure}"


def _title(model: ListedModel) -> str:
    return f"{model.name}  ({model.context_window:,} tokens)" if model.context_window else model.name

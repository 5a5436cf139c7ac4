"""The page on which an upstream's models are chosen: new ones, and second ways to models that exist."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render

from accounts.common.admin import counted
from proxy.translation.dialects.upstream_api import ListedModel
from upstreams.admin import import_candidates
from upstreams.forms import ImportForm
from upstreams.models import Upstream
from upstreams.monitoring import discovery


def page(request: HttpRequest, row: Upstream, *, frame: dict[str, Any], models_url: str) -> HttpResponse:
    """Show the offers, or take up those that were chosen. ``frame``: what every page of the admin is given."""
    try:
        listed = discovery.list_models(row)
    except discovery.DiscoveryFailed as problem:
        messages.error(request, failed(row, problem))
        return redirect("admin:upstreams_upstream_change", row.pk)
    found = import_candidates.of(row, listed)
    form = ImportForm(
        request.POST if request.method == "POST" else None,
        names=[(model.name, _described(model)) for model in found.new],
        joins=[(join.value, f"{join.model} would also be served as {join.listed.name}") for join in found.joins],
    )
    if request.method == "POST" and form.is_valid():
        _take_up(request, row, found, form.cleaned_data)
        return redirect(models_url)
    shown = {**frame, "title": f"Import models of {row.name}", "original": row, "form": form, "listed": len(listed), "found": found}
    return render(request, "admin/upstreams/upstream/import_models.html", shown)


def _take_up(request: HttpRequest, row: Upstream, found: import_candidates.ImportCandidates, chosen: dict[str, Any]) -> None:
    done = discovery.import_models(row, [model for model in found.new if model.name in chosen["names"]])
    joined = import_candidates.join(
        row, [join for join in found.joins if join.value in chosen["joins"]], as_fallback=chosen["place"] == "behind"
    )
    deeds = ((len(done.created), "model", "imported"), (len(joined), "route", "added"))
    words = ", ".join(f"{counted(number, noun)} {deed}" for number, noun, deed in deeds if number)
    messages.success(request, f"{words or 'Nothing was imported'}.")


def failed(row: Upstream, problem: discovery.DiscoveryFailed) -> str:
    """That an upstream did not list its models; in the words of a test where there was no connection."""
    return f"{row.name}: {f'Connection failed: {problem.__cause__}' if problem.stage == 'connection' else problem}"


def _described(model: ListedModel) -> str:
    return f"{model.name}  ({model.context_window:,} tokens)" if model.context_window else model.name

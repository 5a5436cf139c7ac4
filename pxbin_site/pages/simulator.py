"""The simulator of routing: this key, this model, now: which upstream would answer, in which order the others follow, and why."""

from __future__ import annotations

from typing import Any, NamedTuple

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render

from accounts import keys
from accounts.keys import Key
from accounts.models import ApiKey
from billing.pricing import price_book
from pxbin_site.pages.connect import MAX_CHOICES, find_key, usable_models
from upstreams.catalog import snapshot
from upstreams.catalog.snapshot import ResolvedModel
from upstreams.routing import live_state
from upstreams.routing import plan as routing
from upstreams.routing.plan import Requirements
from upstreams.validators import CAPABILITIES

MAX_TOKENS = 100_000_000


class Simulation(NamedTuple):
    """What would happen. ``targets``: upstream, credential, remote name, in the order of the attempts; ``skips``: with reasons."""

    verdict: str
    targets: list[tuple[str, str, str]]
    skips: list[tuple[str, str, str, str]]


def page(request: HttpRequest) -> HttpResponse:
    """The form and the result. Query: ``model``, ``key`` (an id, empty for any), ``tokens``, ``session``, ``needs`` (capabilities)."""
    if not request.user.has_perm("upstreams.view_model"):
        raise PermissionDenied
    name, row = request.GET.get("model", "").strip(), find_key(request.GET.get("key", ""))
    tokens = request.GET.get("tokens", "")
    needs = frozenset(request.GET.getlist("needs")) & CAPABILITIES
    required = Requirements(
        capabilities=needs,
        tokens=min(int(tokens), MAX_TOKENS) if tokens.isdecimal() else 0,
        session=request.GET.get("session") or None,
    )
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": "Routing simulator",
        "model": name,
        "models": list(usable_models(None)),
        "keys": ApiKey.objects.order_by("name", "key_prefix")[:MAX_CHOICES] if request.user.has_perm("accounts.view_apikey") else [],
        "key": row,
        "tokens": tokens,
        "session": request.GET.get("session", ""),
        "capabilities": [(capability, capability in needs) for capability in sorted(CAPABILITIES)],
        "result": simulate(name, row, required) if name else None,
    }
    return render(request, "admin/pages/simulator.html", context)


def simulate(name: str, row: ApiKey | None, required: Requirements) -> Simulation:
    """The plan of a request for ``name``, by the catalogue and the routing state of this process. Nothing is sent."""
    catalogue = snapshot.current()
    allowed = None if row is None or row.allowed_models is None else tuple(row.allowed_models)
    key = Key(id=str(row.pk) if row else "", allowed_models=allowed)
    if row is not None and not row.is_active:
        return Simulation("401: the key is revoked.", [], [])
    model = catalogue.find(name)
    if model is None:
        idle = catalogue.find_idle(name)
        if idle is None:
            return Simulation("404: no model has this name or alias, and no pattern matches it.", [], [])
        skips = [(route.upstream_name, "", route.remote_name or idle.name, route.reason) for route in idle.idle]
        if not idle.is_active or not skips:
            return Simulation(f"404: the model {idle.name} {'has no route' if idle.is_active else 'is switched off'}.", [], skips)
        return Simulation(f"503: no route of {idle.name} is usable.", [], skips)

    def is_allowed(candidate: ResolvedModel) -> bool:
        return keys.may_use(key, candidate.requested, candidate.model.name)

    if not is_allowed(model):
        return Simulation(f"404: the key may not use {model.model.name}.", [], [])
    planned = routing.plan(
        model, catalogue, requirements=required, state=live_state.current(), is_allowed=is_allowed, price_of=price_book.combined_rate
    )
    targets = [
        (target.upstream.name, target.credential.name if target.credential else "", target.remote_name) for target in planned.targets
    ]
    skipped = [(skip.upstream or "", skip.credential or "", skip.model, skip.text) for skip in planned.skips]
    if not targets:
        return Simulation("No target can serve this request.", [], skipped)
    because = f", because: {planned.choice.text}" if planned.choice else ", the only candidate"
    return Simulation(f"{targets[0][0]} would be called first, as {targets[0][2]}{because}.", targets, skipped)

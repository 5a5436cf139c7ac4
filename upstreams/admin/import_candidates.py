"""The models that an upstream lists, compared with those that exist: new models, and new routes for existing ones."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.db import transaction
from simple_history.utils import bulk_create_with_history

from proxy.translation.dialects.upstream_api import ListedModel
from upstreams.models import Model, Route, Upstream
from upstreams.monitoring import discovery
from upstreams.signals import routes_listed


class RouteCandidate(NamedTuple):
    """A route that could be added: from ``model`` to the upstream, with the remote name of ``listed``."""

    model: Model
    listed: ListedModel

    @property
    def form_value(self) -> str:
        """The value of its checkbox."""
        return f"{self.model.pk} {self.listed.name}"


class ImportCandidates(NamedTuple):
    """``routed``: listed names that have a route. ``vanished``: routes to names that are not listed."""

    models: list[ListedModel]
    routes: list[RouteCandidate]
    routed: list[str]
    vanished: list[Route]


def import_candidates(upstream: Upstream, listed: Iterable[ListedModel]) -> ImportCandidates:
    """Compare what an upstream lists with the models without a path prefix. ``maker/model`` also matches the model ``model``."""
    routes = list(upstream.routes.select_related("model"))
    remote_names = {route.remote_name or route.model.name for route in routes}
    routed_models = {route.model_id for route in routes}
    by_name: dict[str, Model] = {}
    for model in Model.objects.filter(path_prefix="").order_by("name"):
        by_name.update({alias: model for alias in model.aliases if alias not in by_name})
        by_name[model.name] = model
    by_remote_name = {item.name: item for item in listed}
    new_models, new_routes = [], []
    for name, item in sorted(by_remote_name.items()):
        if name in remote_names:
            continue
        if name not in by_name:
            new_models.append(item)
        existing = by_name.get(name) or by_name.get(name.rpartition("/")[2])
        if existing is not None and existing.pk not in routed_models:
            new_routes.append(RouteCandidate(existing, item))
    vanished = [route for route in routes if (name := route.remote_name or route.model.name) not in by_remote_name and "*" not in name]
    return ImportCandidates(new_models, new_routes, sorted(remote_names & set(by_remote_name)), vanished)


def add_routes(upstream: Upstream, candidates: Iterable[RouteCandidate], *, as_fallback: bool) -> list[str]:
    """Create routes; returns the models' names. As a fallback a route comes after the model's others, else beside the first."""
    rows = []
    with transaction.atomic():
        for candidate in candidates:
            priorities = list(candidate.model.routes.values_list("priority", flat=True))
            priority = max(priorities) + 1 if priorities and as_fallback else min(priorities, default=0)
            rows.append(
                Route(
                    model=candidate.model,
                    upstream=upstream,
                    remote_name=candidate.listed.name,
                    priority=priority,
                    listed_pricing=discovery.listed_pricing(candidate.listed),
                )
            )
        bulk_create_with_history(rows, Route)
        routes_listed.send(Route, model_ids=[row.model_id for row in rows])
    return [row.model.name for row in rows]

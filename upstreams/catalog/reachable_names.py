"""The names that a list of models shows: those of models, and those that patterns reach at upstreams whose models are known."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping

from accounts.common import wildcards
from upstreams.catalog.entries import ModelEntry, ResolvedModel, RouteEntry
from upstreams.catalog.snapshot import Catalogue


def reachable_names(catalogue: Catalogue, prefix: str = "") -> tuple[ResolvedModel, ...]:
    """What requests below a path prefix may name, sorted by name; aliases are left out. Computed once for each catalogue.

    An upstream's models are known by the routes of models that are no patterns, which discovery and imports create.
    """
    if prefix not in catalogue.reachable:
        own = {model.name: ResolvedModel(model, model.name) for model in catalogue.listed(prefix)}
        by_pattern = {resolved.requested: resolved for resolved in _by_pattern(catalogue, prefix) if resolved.requested not in own}
        catalogue.reachable[prefix] = tuple(resolved for _, resolved in sorted({**own, **by_pattern}.items()))
    return catalogue.reachable[prefix]


def _by_pattern(catalogue: Catalogue, prefix: str) -> Iterator[ResolvedModel]:
    patterns = [model for model in catalogue.models if model.path_prefix == prefix and wildcards.is_pattern(model.name)]
    remote_names = _known_remote_names(catalogue) if patterns else {}
    for model in patterns:
        for route in model.routes:
            for remote_name in remote_names.get(route.upstream.id, ()):
                name = _client_name(model, route, remote_name)
                resolved = catalogue.find(name, prefix) if name else None
                if resolved is not None and resolved.model is model and resolved.requested == name:
                    yield resolved


def _known_remote_names(catalogue: Catalogue) -> Mapping[str, set[str]]:
    """The remote names of the models that are no patterns, by upstream id."""
    names: defaultdict[str, set[str]] = defaultdict(set)
    for model in catalogue.models:
        for route in model.routes:
            remote_name = route.remote_name or model.name
            if not wildcards.is_pattern(remote_name) and not wildcards.is_pattern(model.name):
                names[route.upstream.id].add(remote_name)
    return names


def _client_name(model: ModelEntry, route: RouteEntry, remote_name: str) -> str:
    """The name by which clients reach a remote name through a model with a pattern; empty if they cannot, or by any name."""
    if not route.remote_name:
        return remote_name if wildcards.match(model.name, remote_name) is not None else ""
    stars = wildcards.match(route.remote_name, remote_name)
    if not stars or len(stars) != model.name.count(wildcards.STAR):
        return ""
    return wildcards.fill(model.name, stars)

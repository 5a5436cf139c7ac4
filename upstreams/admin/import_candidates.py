"""What an upstream lists beside what we have: new models, second ways to models that exist, and what leads here already."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from django.db import transaction
from simple_history.utils import bulk_create_with_history

from proxy.translation.dialects.upstream_api import ListedModel
from upstreams.models import Model, Route, Upstream


class Join(NamedTuple):
    """A route that could be added: ``model`` would also be served by the upstream, as ``listed`` there."""

    model: Model
    listed: ListedModel

    @property
    def value(self) -> str:
        """What stands for it in a form."""
        return f"{self.model.pk} {self.listed.name}"


class ImportCandidates(NamedTuple):
    """``known``: names that have a route to the upstream already. ``gone``: routes to names that it lists no more."""

    new: list[ListedModel]
    joins: list[Join]
    known: list[str]
    gone: list[Route]


def of(upstream: Upstream, listed: Iterable[ListedModel]) -> ImportCandidates:
    """Sort what an upstream lists. A name with a maker (``maker/model``) also fits the model of the bare name."""
    routes = list(upstream.routes.select_related("model"))
    led_to = {route.remote_name or route.model.name for route in routes}
    served = {route.model_id for route in routes}
    by_name: dict[str, Model] = {}
    for model in Model.objects.filter(path_prefix="").order_by("name"):
        by_name.update({alias: model for alias in model.aliases if alias not in by_name})
        by_name[model.name] = model
    by_id = {each.name: each for each in listed}
    new, joins = [], []
    for name, each in sorted(by_id.items()):
        if name in led_to:
            continue
        if name not in by_name:
            new.append(each)
        candidate = by_name.get(name) or by_name.get(name.rpartition("/")[2])
        if candidate is not None and candidate.pk not in served:
            joins.append(Join(candidate, each))
    gone = [route for route in routes if (name := route.remote_name or route.model.name) not in by_id and "*" not in name]
    return ImportCandidates(new, joins, sorted(led_to & set(by_id)), gone)


def join(upstream: Upstream, joins: Iterable[Join], *, as_fallback: bool) -> list[str]:
    """Add the routes; the models' names. As a fallback a route comes behind the model's others, else beside the first of them."""
    rows = []
    with transaction.atomic():
        for each in joins:
            taken = list(each.model.routes.values_list("priority", flat=True))
            place = max(taken) + 1 if taken and as_fallback else min(taken, default=0)
            rows.append(Route(model=each.model, upstream=upstream, remote_name=each.listed.name, priority=place))
        bulk_create_with_history(rows, Route)
    return [row.model.name for row in rows]

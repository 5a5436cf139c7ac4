"""Discovery: list the models of an upstream, and make models and routes of them."""

from __future__ import annotations

import asyncio
import enum
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from django.db import transaction
from django.utils import timezone
from simple_history.utils import bulk_create_with_history

from proxy.translation.dialects.lookup import dialect_named
from proxy.translation.dialects.upstream_api import ListedModel, ListedPage, ModelListApi
from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.catalog.snapshot import entries_of
from upstreams.models import Model, Route, Upstream
from upstreams.monitoring import probe
from upstreams.signals import routes_listed

TIMEOUT_SECONDS = 10.0
MAX_PAGES = 100


class Stage(enum.Enum):
    """Where a listing failed."""

    CONNECTION = "connection"
    STATUS = "status"
    PARSE = "parse"


class DiscoveryFailed(Exception):  # noqa: N818  (named after what happened)
    """The models of an upstream could not be listed. ``response`` is set at :attr:`Stage.STATUS`."""

    def __init__(self, stage: Stage, message: str, *, response: probe.ProbeResponse | None = None) -> None:
        super().__init__(message)
        self.stage = stage
        self.response = response


def list_models(upstream: Upstream, *, seconds: float = TIMEOUT_SECONDS) -> list[ListedModel]:
    """The models of a stored upstream, in the order of its list, fetched with its preferred credential.

    ``seconds`` is the time for each page. Blocks; not for a thread with a running event loop. Raises :class:`DiscoveryFailed`.
    """
    entry, credential = entries_of(upstream)
    return asyncio.run(fetch_models(entry, credential, seconds=seconds))


def list_all(upstreams: Sequence[Upstream]) -> list[list[ListedModel] | DiscoveryFailed]:
    """:func:`list_models` of several upstreams in parallel: for each its models, or why they could not be listed."""

    async def fetch(entry: UpstreamEntry, credential: CredentialEntry | None) -> list[ListedModel] | DiscoveryFailed:
        try:
            return await fetch_models(entry, credential)
        except DiscoveryFailed as failure:
            return failure

    return asyncio.run(probe.gather_limited([fetch(*entries_of(upstream)) for upstream in upstreams]))


async def fetch_models(
    upstream: UpstreamEntry, credential: CredentialEntry | None, *, seconds: float = TIMEOUT_SECONDS
) -> list[ListedModel]:
    """The models that an upstream lists, over all pages; of equal names the first. Raises :class:`DiscoveryFailed`."""
    api = dialect_named(upstream.dialect).upstream.model_list
    by_name: dict[str, ListedModel] = {}
    next_query: str | None = None
    for _ in range(MAX_PAGES):
        query = "&".join(filter(None, (api.query, next_query)))
        path = f"{api.path}?{query}" if query else api.path
        try:
            response = await probe.call(upstream, credential, "GET", path, seconds=seconds)
        except probe.ProbeFailed as error:
            raise DiscoveryFailed(Stage.CONNECTION, f"Failed to reach upstream: {error}") from error
        if response.status != 200:
            message = response.unusable() or f"Upstream returned {response.status}: {response.excerpt()}"
            raise DiscoveryFailed(Stage.STATUS, message, response=response)
        page = _page(response, api)
        for model in page.models:
            by_name.setdefault(model.name, model)
        if page.next_query is None or page.next_query == next_query:
            break
        next_query = page.next_query
    return list(by_name.values())


def _page(response: probe.ProbeResponse, api: ModelListApi) -> ListedPage:
    try:
        page = api.decode(response.json())
    except ValueError as error:
        raise DiscoveryFailed(Stage.PARSE, "Failed to parse upstream response") from error
    if page is None:
        raise DiscoveryFailed(Stage.PARSE, "Failed to parse upstream response")
    return page


class Imported(msgspec.Struct, frozen=True):
    """The names of the models that an import created, and of those that it skipped."""

    created: list[str]
    skipped: list[str]


def import_models(upstream: Upstream, models: Iterable[ListedModel | str], *, path_prefix: str = "") -> Imported:
    """Create a model and a route to ``upstream`` for each name that is not taken below ``path_prefix``, in one transaction.

    Names that are longer than a model's name may be, and names with ``*``, are skipped as well.
    """
    created: list[ListedModel] = []
    skipped: list[str] = []
    with transaction.atomic():
        taken = taken_names(path_prefix)
        max_length = Model._meta.get_field("name").max_length or 0  # noqa: SLF001  (Django's documented way to a field)
        for model in models:
            listed = ListedModel(name=model) if isinstance(model, str) else model
            if listed.name in taken or "*" in listed.name or not 0 < len(listed.name) <= max_length:
                skipped.append(listed.name)
            else:
                taken.add(listed.name)
                created.append(listed)
        rows = [Model(path_prefix=path_prefix, **_fields(listed)) for listed in created]
        bulk_create_with_history(rows, Model)
        routes = [
            Route(
                model=row,
                upstream=upstream,
                remote_name=row.name,
                listed_context_window=listed.context_window,
                listed_pricing=listed_pricing(listed),
            )
            for row, listed in zip(rows, created, strict=True)
        ]
        bulk_create_with_history(routes, Route)
        routes_listed.send(Route, model_ids=[row.pk for row in rows])
    return Imported([listed.name for listed in created], skipped)


def discover(upstream: Upstream, *, seconds: float = TIMEOUT_SECONDS) -> dict[str, int]:
    """List the models of an upstream and :func:`apply_listing`. Raises :class:`DiscoveryFailed`."""
    return apply_listing(upstream, list_models(upstream, seconds=seconds))


def apply_listing(upstream: Upstream, listed: Sequence[ListedModel]) -> dict[str, int]:
    """Create models for new names, mark routes to names that are not listed (``vanished_at``), and store context windows.

    Returns the numbers of ``created`` models and of ``vanished`` and ``returned`` routes. Raises :class:`DiscoveryFailed` for an
    empty list, which is more probably a mistake of the upstream.
    """
    if not listed:
        raise DiscoveryFailed(Stage.PARSE, "The upstream lists no models")
    windows = {model.name: model.context_window for model in listed}
    vanished, returned = [], []
    _note_pricing(upstream, listed)
    for route in upstream.routes.select_related("model"):
        name = route.remote_name or route.model.name
        if "*" in name:
            continue
        if windows.get(name) and windows[name] != route.listed_context_window:
            Route.objects.filter(pk=route.pk).update(listed_context_window=windows[name])
        if name not in windows and route.vanished_at is None:
            vanished.append(route.pk)
        elif name in windows and route.vanished_at is not None:
            returned.append(route.pk)
    Route.objects.filter(pk__in=vanished).update(vanished_at=timezone.now())
    Route.objects.filter(pk__in=returned).update(vanished_at=None)
    routed = {route.remote_name or route.model.name for route in upstream.routes.select_related("model")}
    imported = import_models(upstream, [model for model in listed if model.name not in routed])
    return {"created": len(imported.created), "vanished": len(vanished), "returned": len(returned)}


def listed_pricing(listed: ListedModel) -> dict[str, Any] | None:
    """What a route holds of the price in a list: the price, and the name that it is of."""
    return {"name": listed.name, "pricing": listed.pricing} if listed.pricing else None


def _note_pricing(upstream: Upstream, listed: Sequence[ListedModel]) -> None:
    """Store the prices of a list in the routes to its models."""
    by_name = {model.name: listed_pricing(model) for model in listed}
    changed = []
    for route in upstream.routes.select_related("model"):
        pricing = by_name.get(route.remote_name or route.model.name)
        if pricing is not None and pricing != route.listed_pricing:
            Route.objects.filter(pk=route.pk).update(listed_pricing=pricing)
            changed.append(route.model_id)
    if changed:
        routes_listed.send(Route, model_ids=changed)


def taken_names(path_prefix: str = "") -> set[str]:
    """The names and aliases of the models below a path prefix."""
    taken: set[str] = set()
    for name, aliases in Model.objects.filter(path_prefix=path_prefix).values_list("name", "aliases"):
        taken.update((name, *aliases))
    return taken


def _fields(listed: ListedModel) -> dict[str, Any]:
    fields = msgspec.structs.asdict(listed)
    del fields["pricing"]
    return fields | {"provider": listed.provider[:100], "display_name": listed.display_name[:200] if listed.display_name else None}

"""Which models an upstream offers, and how they become models of ours."""

from __future__ import annotations

import asyncio
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

TIMEOUT_SECONDS = 10.0
MOST_PAGES = 100


class DiscoveryFailed(Exception):  # noqa: N818  (it reads as what happened)
    """An upstream's models could not be listed; ``stage`` is ``connection``, ``status`` (of the ``reply``) or ``parse``."""

    def __init__(self, stage: str, message: str, *, reply: probe.ProbeResponse | None = None) -> None:
        super().__init__(message)
        self.stage = stage
        self.reply = reply


def list_models(upstream: Upstream, *, seconds: float = TIMEOUT_SECONDS) -> list[ListedModel]:
    """The models that a stored upstream lists, in its order, asked with its preferred credential.

    ``seconds`` is the time for each page. Blocks; not for a thread with a running event loop. Raises :class:`DiscoveryFailed`.
    """
    entry, credential = entries_of(upstream)
    return asyncio.run(ask(entry, credential, seconds=seconds))


def list_all(upstreams: Sequence[Upstream]) -> list[list[ListedModel] | DiscoveryFailed]:
    """:func:`list_models` of several upstreams, which are asked at the same time; of each what it lists, or why it does not."""

    async def listed(entry: UpstreamEntry, credential: CredentialEntry | None) -> list[ListedModel] | DiscoveryFailed:
        try:
            return await ask(entry, credential)
        except DiscoveryFailed as failure:
            return failure

    return asyncio.run(probe.together([listed(*entries_of(upstream)) for upstream in upstreams]))


async def ask(upstream: UpstreamEntry, credential: CredentialEntry | None, *, seconds: float = TIMEOUT_SECONDS) -> list[ListedModel]:
    """The models that an upstream lists, page by page. Raises :class:`DiscoveryFailed`."""
    api = dialect_named(upstream.dialect).upstream.model_list
    listed: dict[str, ListedModel] = {}
    following: str | None = None
    for _ in range(MOST_PAGES):
        query = "&".join(filter(None, (api.query, following)))
        path = f"{api.path}?{query}" if query else api.path
        try:
            reply = await probe.call(upstream, credential, "GET", path, seconds=seconds)
        except probe.ProbeFailed as error:
            raise DiscoveryFailed("connection", f"Failed to reach upstream: {error}") from error
        if reply.status != 200:
            raise DiscoveryFailed("status", f"Upstream returned {reply.status}: {reply.excerpt()}", reply=reply)
        page = _page(reply, api)
        for model in page.models:
            listed.setdefault(model.name, model)
        if page.next_query is None or page.next_query == following:
            break
        following = page.next_query
    return list(listed.values())


def _page(reply: probe.ProbeResponse, api: ModelListApi) -> ListedPage:
    try:
        page = api.decode(reply.json())
    except ValueError:
        page = None
    if page is None:
        raise DiscoveryFailed("parse", "Failed to parse upstream response")
    return page


class Imported(msgspec.Struct, frozen=True):
    """What an import did: the names of the models that were made, and of those that existed already."""

    created: list[str]
    skipped: list[str]


def import_models(upstream: Upstream, models: Iterable[ListedModel | str], *, path_prefix: str = "") -> Imported:
    """Make a model and a route to ``upstream`` for each name that means nothing yet below ``path_prefix``.

    Names longer than a model's name may be, and names with a star, are skipped. All or nothing.
    """
    created: list[ListedModel] = []
    skipped: list[str] = []
    with transaction.atomic():
        taken = taken_names(path_prefix)
        longest = Model._meta.get_field("name").max_length or 0  # noqa: SLF001  (Django's documented way to a field)
        for each in models:
            listed = ListedModel(name=each) if isinstance(each, str) else each
            if listed.name in taken or "*" in listed.name or not 0 < len(listed.name) <= longest:
                skipped.append(listed.name)
            else:
                taken.add(listed.name)
                created.append(listed)
        rows = [Model(path_prefix=path_prefix, **_fields(listed)) for listed in created]
        bulk_create_with_history(rows, Model)
        routes = [
            Route(model=row, upstream=upstream, remote_name=row.name, listed_context_window=listed.context_window)
            for row, listed in zip(rows, created, strict=True)
        ]
        bulk_create_with_history(routes, Route)
    return Imported([listed.name for listed in created], skipped)


def discover(upstream: Upstream, *, seconds: float = TIMEOUT_SECONDS) -> dict[str, int]:
    """:func:`take_up` what an upstream lists now. Raises :class:`DiscoveryFailed`."""
    return take_up(upstream, list_models(upstream, seconds=seconds))


def take_up(upstream: Upstream, listed: Sequence[ListedModel]) -> dict[str, int]:
    """New names become models, routes to names that are gone are marked, not deleted. Routes learn their context windows.

    The numbers of ``created`` models and of ``vanished`` and ``returned`` routes. Raises :class:`DiscoveryFailed`.
    """
    if not listed:
        raise DiscoveryFailed("parse", "The upstream lists no models")
    names = {model.name: model.context_window for model in listed}
    gone, back = [], []
    for route in upstream.routes.select_related("model"):
        name = route.remote_name or route.model.name
        if "*" in name:
            continue
        if names.get(name) and names[name] != route.listed_context_window:
            Route.objects.filter(pk=route.pk).update(listed_context_window=names[name])
        if name not in names and route.vanished_at is None:
            gone.append(route.pk)
        elif name in names and route.vanished_at is not None:
            back.append(route.pk)
    Route.objects.filter(pk__in=gone).update(vanished_at=timezone.now())
    Route.objects.filter(pk__in=back).update(vanished_at=None)
    led_to = {route.remote_name or route.model.name for route in upstream.routes.select_related("model")}
    done = import_models(upstream, [model for model in listed if model.name not in led_to])
    return {"created": len(done.created), "vanished": len(gone), "returned": len(back)}


def taken_names(path_prefix: str = "") -> set[str]:
    """The names and aliases that mean a model below a prefix already."""
    taken: set[str] = set()
    for name, aliases in Model.objects.filter(path_prefix=path_prefix).values_list("name", "aliases"):
        taken.update((name, *aliases))
    return taken


def _fields(listed: ListedModel) -> dict[str, Any]:
    fields = msgspec.structs.asdict(listed)
    return fields | {"provider": listed.provider[:100], "display_name": listed.display_name[:200] if listed.display_name else None}

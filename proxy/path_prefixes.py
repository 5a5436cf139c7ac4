"""Path prefixes: a model with a ``path_prefix`` is reached only below it, by the same paths as others without one.

A group whose models have upstreams of the dialect ``passthrough`` also takes every other path and method below its prefix; models
that have no other upstreams take the known paths in the same plain way.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from accounts import cache_revisions
from proxy import views
from proxy.exchange.http_request import HttpRequest
from proxy.exchange.http_response import JsonResponse
from proxy.translation.dialects.lookup import PATH_ROOTS
from upstreams.catalog import snapshot
from upstreams.catalog.snapshot import Catalogue
from upstreams.models import OWN_PATHS

Methods = dict[str, Callable[..., Awaitable[Any]]]
RouteMatch = tuple[Methods, dict[str, str]]

PLAIN_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class Below:
    """Finds what is below the prefixes; ``known`` finds the views of paths that every group has."""

    def __init__(self, known: Callable[[str], RouteMatch | None]) -> None:
        self._known = known
        self._groups: tuple[Catalogue, list[tuple[str, bool]]] = (snapshot.current(), [])
        self._plain: Methods = dict.fromkeys(PLAIN_METHODS, views.plain)

    async def find(self, path: str) -> RouteMatch | None:
        """The views at ``path`` by method and what they are given, the prefix among it; None when it is below no prefix."""
        if path.split("/", 2)[1].lower() in OWN_PATHS:
            return None
        found = self._look(path)
        # The database is read again only for paths of API calls, where a prefix may be new.
        if found is None and any(root in path for root in PATH_ROOTS) and await cache_revisions.refresh_now():
            found = self._look(path)
        return found

    def _look(self, path: str) -> RouteMatch | None:
        for prefix, takes_all in self._current():
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
                return self._below(prefix, path[len(prefix) :], takes_all=takes_all)
        return None

    def _below(self, prefix: str, rest: str, *, takes_all: bool) -> RouteMatch:
        given = {"prefix": prefix}
        if rest in ("", "/") and not takes_all:
            return {"GET": here, "HEAD": here}, given
        known = self._known(rest)
        if known is None:
            return self._plain, given
        methods, captured = known
        if takes_all:
            methods = {**self._plain, **{method: views.known_or_plain(view) for method, view in methods.items()}}
        return methods, captured | given

    def _current(self) -> list[tuple[str, bool]]:
        """The prefixes, the longest first, and whether each takes every path; made anew with the catalogue."""
        catalogue = snapshot.current()
        if self._groups[0] is not catalogue:
            plain = {model.path_prefix for model in catalogue.models if views.is_plain(model)}
            self._groups = (catalogue, [(prefix, prefix in plain) for prefix in catalogue.prefixes()])
        return self._groups[1]


async def here(http: HttpRequest, prefix: str) -> JsonResponse:  # noqa: ARG001  (a view takes the request)
    """``GET`` and ``HEAD`` of the prefix itself: clients look whether anyone is there."""
    return JsonResponse(b'{"status":"ok"}')

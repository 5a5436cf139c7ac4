"""Views below path prefixes: clients reach a model with a ``path_prefix`` only below it, at the same paths as other models.

If a model of the prefix has an upstream of the dialect ``passthrough``, every other path and method below the prefix is forwarded,
too. If a model has no other upstreams, requests for it at API paths are forwarded in the same way.
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
from upstreams.validators import OWN_PATHS

Methods = dict[str, Callable[..., Awaitable[Any]]]
RouteMatch = tuple[Methods, dict[str, str]]

PLAIN_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


class PrefixRoutes:
    """Finds the views of paths below prefixes. ``find_api_path`` returns the views of a path without its prefix."""

    def __init__(self, find_api_path: Callable[[str], RouteMatch | None]) -> None:
        self._find_api_path = find_api_path
        self._groups: tuple[Catalogue, list[tuple[str, bool]]] = (snapshot.current(), [])
        self._plain: Methods = dict.fromkeys(PLAIN_METHODS, views.serve_plain_path)

    async def find(self, path: str) -> RouteMatch | None:
        """The views of ``path`` by method, and their keyword arguments with ``prefix``; ``None`` if the path is below no prefix."""
        if path.split("/", 2)[1].lower() in OWN_PATHS:
            return None
        route = self._match(path)
        # The database is read again only for paths of API calls, which may have a new prefix.
        if route is None and any(root in path for root in PATH_ROOTS) and await cache_revisions.refresh_now():
            route = self._match(path)
        return route

    def _match(self, path: str) -> RouteMatch | None:
        for prefix, takes_all in self._prefixes():
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
                return self._route(prefix, path[len(prefix) :], takes_all=takes_all)
        return None

    def _route(self, prefix: str, rest: str, *, takes_all: bool) -> RouteMatch:
        arguments = {"prefix": prefix}
        if rest in ("", "/") and not takes_all:
            return {"GET": prefix_root, "HEAD": prefix_root}, arguments
        api_route = self._find_api_path(rest)
        if api_route is None:
            return self._plain, arguments
        methods, captured = api_route
        if takes_all:
            methods = {**self._plain, **{method: views.known_path_or_plain(view) for method, view in methods.items()}}
        return methods, captured | arguments

    def _prefixes(self) -> list[tuple[str, bool]]:
        """The prefixes, longest first, each with whether it accepts every path; computed once per catalogue."""
        catalogue = snapshot.current()
        if self._groups[0] is not catalogue:
            plain = {model.path_prefix for model in catalogue.models if views.is_plain(model)}
            self._groups = (catalogue, [(prefix, prefix in plain) for prefix in catalogue.prefixes()])
        return self._groups[1]


async def prefix_root(http: HttpRequest, prefix: str) -> JsonResponse:  # noqa: ARG001  (a view takes the request)
    """``GET`` and ``HEAD`` of the prefix itself, with which clients check that the base URL exists."""
    return JsonResponse(b'{"status":"ok"}')

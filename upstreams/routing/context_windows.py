"""Context windows of models in tokens: what the upstream lists, else what is configured, else the gateway's default.

`upstreams.monitoring.listed_windows` fills the listed ones when a client lists models; discovery stores its own with the routes.
Requests read this memory and never wait.
"""

from __future__ import annotations

from django.conf import settings

from upstreams.catalog.entries import ModelEntry, RouteEntry

_listed: dict[str, dict[str, int]] = {}


def window(model: ModelEntry, requested: str) -> int:
    """The context window of a model in tokens, by its preferred route."""
    if model.routes:
        route = model.routes[0]
        return of(model, route, route.remote_name or requested)
    return model.context_window or int(settings.PXBIN.default_context_window)


def of(model: ModelEntry, route: RouteEntry, remote_name: str) -> int:
    """How many tokens fit a model at one upstream: its own word, as heard lately or as discovered, then what is configured."""
    return (
        _listed.get(route.upstream.id, {}).get(remote_name)
        or route.listed_context_window
        or route.context_window
        or model.context_window
        or int(settings.PXBIN.default_context_window)
    )


def learn(upstream_id: str, windows: dict[str, int]) -> None:
    """Replace what an upstream lists: context windows in tokens by remote name."""
    _listed[upstream_id] = windows

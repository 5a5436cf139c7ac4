"""Context windows of models in tokens: what the upstream lists, else what is configured, else ``PXBIN_DEFAULT_CONTEXT_WINDOW``.

An upstream's list is stored in memory when a client lists models (:mod:`upstreams.monitoring.listed_windows`), and with the
routes by discovery. Requests read both and never wait for the upstream.
"""

from __future__ import annotations

from accounts.common.gateway_config import config
from upstreams.catalog.entries import ModelEntry, RouteEntry

_listed: dict[str, dict[str, int]] = {}
"""By upstream id and remote name."""


def preferred_window(model: ModelEntry, requested: str) -> int:
    """The context window of a model in tokens at its preferred route."""
    if model.routes:
        route = model.routes[0]
        return window_of(model, route, route.remote_name or requested)
    return model.context_window or int(config().default_context_window)


def window_of(model: ModelEntry, route: RouteEntry, remote_name: str) -> int:
    """The context window of a model in tokens at one upstream."""
    return (
        _listed.get(route.upstream.id, {}).get(remote_name)
        or route.listed_context_window
        or route.context_window
        or model.context_window
        or int(config().default_context_window)
    )


def store_listed(upstream_id: str, windows: dict[str, int]) -> None:
    """Replace the listed context windows of an upstream: tokens by remote name."""
    _listed[upstream_id] = windows

"""Refresh the listed context windows of models when a client lists models; upstreams are called in parallel, with a short timeout."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from django.conf import settings

from proxy.translation.dialects.registry import REGISTRY
from upstreams.catalog.entries import ModelEntry, UpstreamEntry
from upstreams.echo import is_echo
from upstreams.monitoring import discovery
from upstreams.routing import context_windows

LISTING_DIALECTS = frozenset(dialect.name for dialect in REGISTRY.values() if dialect.upstream.lists_for_clients)
"""Dialects whose upstreams list their models."""
FAILURE_SECONDS = 60.0
"""How long an upstream that did not list its models is not called again."""

_next_refresh: dict[str, float] = {}
"""By upstream id, the monotonic time before which it is not called again."""


async def refresh(models: Iterable[ModelEntry]) -> None:
    """Call the preferred upstreams of ``models`` that were not called lately. If one does not respond, its old windows stay."""
    now = time.monotonic()
    upstreams = {model.routes[0].upstream.id: model.routes[0].upstream for model in models if model.routes}
    due = [upstream for upstream in upstreams.values() if _can_list(upstream) and _next_refresh.get(upstream.id, 0.0) <= now]
    if due:
        await asyncio.gather(*(_refresh_upstream(upstream, now) for upstream in due))


def _can_list(upstream: UpstreamEntry) -> bool:
    return upstream.dialect in LISTING_DIALECTS and not upstream.pass_client_credentials and not is_echo(upstream.base_url)


async def _refresh_upstream(upstream: UpstreamEntry, now: float) -> None:
    config = settings.PXBIN
    _next_refresh[upstream.id] = now + FAILURE_SECONDS  # before the call, so that parallel requests do not call, too
    credential = upstream.credentials[0] if upstream.credentials else None
    seconds = config.upstream_models_fetch_timeout_ms / 1000
    try:
        async with asyncio.timeout(seconds):
            models = await discovery.fetch_models(upstream, credential, seconds=seconds)
    except (discovery.DiscoveryFailed, TimeoutError):
        return
    context_windows.store_listed(upstream.id, {model.name: model.context_window for model in models if model.context_window})
    _next_refresh[upstream.id] = now + config.upstream_models_cache_ttl_seconds

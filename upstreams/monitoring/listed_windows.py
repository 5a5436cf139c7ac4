"""Ask upstreams for the context windows of their models when a client lists models: all at once, and for a short time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from django.conf import settings

from proxy.translation.dialects.registry import REGISTRY
from upstreams.catalog.entries import ModelEntry, UpstreamEntry
from upstreams.monitoring import discovery
from upstreams.routing import context_windows

LISTING = frozenset(dialect.name for dialect in REGISTRY.values() if dialect.upstream.lists_for_clients)
"""Dialects whose upstreams list their models."""
FAILED_SECONDS = 60.0
"""How long an upstream is left alone that did not list its models."""

_next_refresh: dict[str, float] = {}
"""Monotonic seconds before which an upstream is not asked again, by its id."""


async def refresh(models: Iterable[ModelEntry]) -> None:
    """Ask the upstreams of ``models`` that have not been asked lately; what they do not say stays as it was."""
    now = time.monotonic()
    upstreams = {model.routes[0].upstream.id: model.routes[0].upstream for model in models if model.routes}
    due = [each for each in upstreams.values() if _can_be_asked(each) and _next_refresh.get(each.id, 0.0) <= now]
    if due:
        await asyncio.gather(*(_ask(each, now) for each in due))


def _can_be_asked(upstream: UpstreamEntry) -> bool:
    return upstream.dialect in LISTING and not upstream.pass_client_credentials and not upstream.base_url.startswith("echo:")


async def _ask(upstream: UpstreamEntry, now: float) -> None:
    config = settings.PXBIN
    _next_refresh[upstream.id] = now + FAILED_SECONDS  # also for those who come meanwhile
    credential = upstream.credentials[0] if upstream.credentials else None
    seconds = config.upstream_models_fetch_timeout_ms / 1000
    try:
        async with asyncio.timeout(seconds):
            listed = await discovery.ask(upstream, credential, seconds=seconds)
    except (discovery.DiscoveryFailed, TimeoutError):
        return
    context_windows.learn(upstream.id, {each.name: each.context_window for each in listed if each.context_window})
    _next_refresh[upstream.id] = now + config.upstream_models_cache_ttl_seconds

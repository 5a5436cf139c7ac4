"""How many tokens fit a model: what its upstream says, else what is configured, else the gateway's default.

Upstreams are asked when somebody lists models, all at once and for a short time, and their answers are kept; what discovery
hears is kept with the routes. Requests go by these and never wait.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

from django.conf import settings

from upstreams.catalog.entries import ModelEntry, RouteEntry, UpstreamEntry
from upstreams.monitoring import discovery

LISTING = frozenset({"openai_chat", "anthropic", "openai_responses"})
"""Dialects whose upstreams list their models."""
FAILED_SECONDS = 60.0
"""How long an upstream is left alone that did not list its models."""

_known: dict[str, dict[str, int]] = {}
_asked_again: dict[str, float] = {}


def window(model: ModelEntry, requested: str) -> int:
    """The context window of a model in tokens, by its preferred route."""
    if model.routes:
        route = model.routes[0]
        return of(model, route, route.remote_name or requested)
    return model.context_window or int(settings.PXBIN.default_context_window)


def of(model: ModelEntry, route: RouteEntry, remote_name: str) -> int:
    """How many tokens fit a model at one upstream: its own word, as heard lately or as discovered, then what is configured."""
    return (
        _known.get(route.upstream.id, {}).get(remote_name)
        or route.listed_context_window
        or route.context_window
        or model.context_window
        or int(settings.PXBIN.default_context_window)
    )


async def look(models: Iterable[ModelEntry]) -> None:
    """Ask the upstreams of ``models`` that have not been asked lately; what they do not say stays as it was."""
    now = time.monotonic()
    upstreams = {model.routes[0].upstream.id: model.routes[0].upstream for model in models if model.routes}
    due = [each for each in upstreams.values() if _can_be_asked(each) and _asked_again.get(each.id, 0.0) <= now]
    if due:
        await asyncio.gather(*(_ask(each, now) for each in due))


def _can_be_asked(upstream: UpstreamEntry) -> bool:
    return upstream.dialect in LISTING and not upstream.pass_client_credentials and not upstream.base_url.startswith("echo:")


async def _ask(upstream: UpstreamEntry, now: float) -> None:
    config = settings.PXBIN
    _asked_again[upstream.id] = now + FAILED_SECONDS  # also for those who come meanwhile
    credential = upstream.credentials[0] if upstream.credentials else None
    seconds = config.upstream_models_fetch_timeout_ms / 1000
    try:
        async with asyncio.timeout(seconds):
            listed = await discovery.ask(upstream, credential, seconds=seconds)
    except (discovery.DiscoveryFailed, TimeoutError):
        return
    _known[upstream.id] = {each.name: each.context_window for each in listed if each.context_window}
    _asked_again[upstream.id] = now + config.upstream_models_cache_ttl_seconds

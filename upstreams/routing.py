"""Which upstreams may answer a request, in the order in which they are tried."""

from __future__ import annotations

import msgspec

from accounts import globs
from proxy.quirks import Quirks
from upstreams.catalog import CredentialEntry, Found, ModelEntry, RouteEntry, UpstreamEntry


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate: everything that a call needs to know. ``quirks``: the upstream's overridden by the model's."""

    model: ModelEntry
    route: RouteEntry
    upstream: UpstreamEntry
    credential: CredentialEntry | None
    remote_name: str
    quirks: Quirks


def candidates(found: Found) -> list[Target]:
    """The targets of a model by route priority, upstream priority and weight, each with its upstream's preferred credential.

    An upstream without credentials is called without one: local servers need none.
    """
    return [
        Target(
            model=found.model,
            route=route,
            upstream=route.upstream,
            credential=route.upstream.credentials[0] if route.upstream.credentials else None,
            remote_name=remote_name(route, found),
            quirks=route.quirks,
        )
        for route in found.model.routes
    ]


def remote_name(route: RouteEntry, found: Found) -> str:
    """The upstream's name of the model: the client's own where the route gives none; its n-th star is what the n-th star took.

    A model found by a literal name has no stars: then the first star of the remote name takes the whole name.
    """
    if not route.remote_name:
        return found.requested
    if not globs.is_pattern(route.remote_name):
        return route.remote_name
    return globs.fill(route.remote_name, found.stars or (found.requested,))

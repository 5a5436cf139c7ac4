"""Which upstreams and keys may answer a request, in the order in which they are tried, and why others are not.

A model's routes by priority (a lower number first), then the upstream's priority, then weight; each with its keys, from the
one after the last used; then the model's fallbacks, depth first. What lacks a capability, or a model that the key may not
use, is left out. What cools, is broken or is too small is only put behind the others: when nothing else is left, the best
of them is still called.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

import msgspec

from accounts.common import wildcards
from proxy.translation.dialects.lookup import dialect_named
from proxy.translation.quirks import Quirks
from upstreams.catalog.snapshot import Catalogue, CredentialEntry, ModelEntry, ResolvedModel, RouteEntry, UpstreamEntry
from upstreams.routing import context_windows, credential_state
from upstreams.routing.live_state import RoutingState

PriceOf = Callable[[str, str, str], Decimal | None]
"""The price of a million input and a million output tokens by model id, upstream id and remote name; handed in from a floor higher."""


ANOTHER_CHOSEN = "another upstream was chosen"


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate: everything that a call needs to know. ``quirks``: the upstream's overridden by the model's."""

    model: ModelEntry
    route: RouteEntry
    upstream: UpstreamEntry
    credential: CredentialEntry | None
    remote_name: str
    quirks: Quirks

    @property
    def key_id(self) -> str:
        """The credential's id; of an upstream without any, the upstream's own."""
        return self.credential.id if self.credential is not None else self.upstream.id

    @property
    def is_signed(self) -> bool:
        """Whether requests are signed with AWS's SigV4 instead of carrying a key."""
        is_aws_key = self.credential is not None and bool(self.credential.access_key_id)
        return is_aws_key and bool(dialect_named(self.upstream.dialect).upstream.sigv4_service)


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What a request asks of its target. ``tokens``: an estimate of its input. ``session``: which turns belong together."""

    capabilities: frozenset[str] = frozenset()
    tokens: int = 0
    session: str | None = None
    upstream: str = ""
    """Only the upstream of this name: the caller chose it."""


class Plan(msgspec.Struct, frozen=True):
    """``targets`` in the order in which they are tried; ``skips`` says of each one put back or left out why.

    ``chosen`` says why the first one is the first; nothing where there was nothing to choose.
    """

    targets: list[Target]
    skips: list[dict[str, Any]]
    chosen: dict[str, Any] | None = None


def plan(
    found: ResolvedModel,
    catalogue: Catalogue,
    *,
    needs: Requirements,
    standing: RoutingState,
    allowed: Callable[[ResolvedModel], bool],
    price_of: PriceOf,
) -> Plan:
    """The candidates for a request of ``found``. ``allowed``: whether the caller may use a fallback."""
    first: list[Target] = []
    later: list[tuple[int, Target]] = []
    skips: list[dict[str, Any]] = []
    for each in with_fallbacks(found, catalogue, skips):
        skips.extend(each.model.idle)
        if each is not found and not allowed(each):
            skips.append({"model": each.requested, "skipped": "not allowed for this key"})
            continue
        for target in _ordered(each, needs, standing, price_of):
            reason = _excluded(target, needs)
            if reason:
                skips.append(_told(target, "skipped", reason))
                continue
            reason, rank = _put_back(target, needs, standing)
            if reason:
                skips.append(_told(target, "skipped", reason))
                later.append((rank, target))
            else:
                first.append(target)
    later.sort(key=lambda each: each[0])
    targets = [*first, *(target for _, target in later)]
    if len(targets) < 2:
        return Plan(targets, skips)
    best = targets[0]
    return Plan(targets, skips, _told(best, "chosen", _why_first(best, needs, standing) if first else "nothing better is left"))


def with_fallbacks(found: ResolvedModel, catalogue: Catalogue, skips: list[dict[str, Any]]) -> Iterable[ResolvedModel]:
    """A model, then its fallbacks depth first; one that came already is passed over, and one that cannot be served is told."""
    seen: set[str] = set()
    waiting = [found]
    while waiting:
        each = waiting.pop(0)
        if each.model.id in seen:
            continue
        seen.add(each.model.id)
        yield each
        following = []
        for name in each.model.fallbacks:
            fallback = catalogue.find(name, found.model.path_prefix) or catalogue.find(name)
            if fallback is not None:
                following.append(fallback)
            else:
                skips.append({"model": name, "skipped": "no such model, or it is switched off"})
        waiting[:0] = following


def _ordered(found: ResolvedModel, needs: Requirements, standing: RoutingState, price_of: PriceOf) -> list[Target]:
    """One model's candidates: its routes in the order of its strategy, each with its keys in turn."""
    routes = found.model.routes
    if len(routes) > 1 and found.model.strategy != "priority":
        routes = tuple(_by_strategy(found, routes, standing, price_of))
    targets = [target for route in routes for target in _with_keys(route, found, standing)]
    kept = _kept(found.model, needs, standing) if len(targets) > 1 else None
    home = next((target for target in targets if target.key_id == kept), None)
    if home is not None:
        targets.sort(key=lambda target: (_preference(target.route), not _is_home(target, home)))
    return targets


def _kept(model: ModelEntry, needs: Requirements, standing: RoutingState) -> str | None:
    return standing.sessions.key_of(session_of(needs.session, model)) if needs.session else None


def _why_first(target: Target, needs: Requirements, standing: RoutingState) -> str:
    """What put a candidate before the others of its kind."""
    return "session kept" if target.key_id == _kept(target.model, needs, standing) else f"strategy {target.model.strategy}"


def _is_home(target: Target, home: Target) -> bool:
    """Whether a candidate has the session's key, or one of the same upstream that is preferred to it."""
    if target.credential is None or home.credential is None:
        return target.key_id == home.key_id
    preferred = target.credential.priority < home.credential.priority
    return target.key_id == home.key_id or (preferred and target.upstream.id == home.upstream.id)


def session_of(session: str, model: ModelEntry) -> str:
    """The name under which a session's key is kept: an agent's session speaks with several models, each with a key of its own."""
    return f"{model.id}/{session}"


def _preference(route: RouteEntry) -> tuple[int, int]:
    return (route.priority, route.upstream.priority)


def _by_strategy(found: ResolvedModel, routes: tuple[RouteEntry, ...], standing: RoutingState, price_of: PriceOf) -> list[RouteEntry]:
    """Routes of equal preference in another order than by weight."""
    strategy = found.model.strategy
    if strategy == "weighted":
        draw = {route.id: random.random() ** (1 / route.weight) if route.weight else 0.0 for route in routes}  # noqa: S311
        return sorted(routes, key=lambda route: (_preference(route), -draw[route.id]))
    if strategy == "latency":
        return sorted(routes, key=lambda route: (_preference(route), standing.latency(route.id)))
    if strategy == "cost":
        unknown = Decimal("Infinity")
        prices = {route.id: price_of(found.model.id, route.upstream.id, remote_name(route, found)) for route in routes}
        return sorted(routes, key=lambda route: (_preference(route), unknown if (price := prices[route.id]) is None else price))
    turn = standing.turn(found.model.id) % len(routes)
    return sorted(routes[turn:] + routes[:turn], key=_preference)


def _with_keys(route: RouteEntry, found: ResolvedModel, standing: RoutingState) -> list[Target]:
    """A route with each key of its upstream; among keys of equal priority, the one after the last used comes first."""
    upstream = route.upstream
    keys: tuple[CredentialEntry | None, ...] = upstream.credentials or (None,)
    if len(keys) > 1:
        keys = _rotated(upstream.credentials, standing.last_used(upstream.id))
    name = remote_name(route, found)
    return [
        Target(model=found.model, route=route, upstream=upstream, credential=key, remote_name=name, quirks=route.quirks) for key in keys
    ]


def _rotated(keys: tuple[CredentialEntry, ...], last: str) -> tuple[CredentialEntry, ...]:
    for place, key in enumerate(keys):
        if key.id == last:
            return tuple(sorted(keys[place + 1 :] + keys[: place + 1], key=lambda each: each.priority))
    return keys


def _excluded(target: Target, needs: Requirements) -> str:
    """Why a candidate cannot serve the request at all."""
    if needs.upstream and needs.upstream != target.upstream.name:
        return ANOTHER_CHOSEN
    missing = [name for name in sorted(needs.capabilities) if target.route.capabilities.get(name) is False]
    return f"takes no {' and no '.join(missing)}" if missing else ""


def _put_back(target: Target, needs: Requirements, standing: RoutingState) -> tuple[str, int]:
    """Why others are tried before a candidate, and how far behind them: what may pass before what was refused or cannot fit."""
    window = context_windows.of(target.model, target.route, target.remote_name) if needs.tokens else 0
    if needs.tokens > window:
        return f"about {needs.tokens} tokens do not fit {window}", 4
    if target.credential is not None and (target.credential.is_disabled or credential_state.is_refused(target.credential.id)):
        return "key disabled", 3
    if standing.breakers.state(target.upstream.id) == "open":
        return "circuit breaker open", 2
    until = standing.cooldowns.until(target.key_id, target.route.id, target.upstream.id)
    if until:
        return f"cooling for {max(0.0, until - standing.clock()):.1f} s", 1
    return "", 0


def _told(target: Target, what: str, reason: str) -> dict[str, Any]:
    key = target.credential.name or target.credential.id if target.credential else ""
    return {"upstream": target.upstream.name, "key": key, "model": target.remote_name, what: reason}


def remote_name(route: RouteEntry, found: ResolvedModel) -> str:
    """The upstream's name of the model: the client's own where the route gives none; its n-th star is what the n-th star took.

    A model found by a literal name has no stars: then the first star of the remote name takes the whole name.
    """
    if not route.remote_name:
        return found.requested
    if not wildcards.is_pattern(route.remote_name):
        return route.remote_name
    return wildcards.fill(route.remote_name, found.stars or (found.requested,))

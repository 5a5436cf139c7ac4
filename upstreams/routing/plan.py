"""The plan of a request: its targets in the order in which they are tried, and what is left out or put back, with reasons.

A model's routes by priority (a lower number first), then the upstream's priority, then weight or the model's strategy; each
route with the credentials of its upstream, beginning behind the one that was used last; then the model's fallbacks, depth
first. Left out: targets that lack a capability, and models that the client key may not use. Put behind the others: targets
that cool, whose breaker is open, whose credential is disabled or whose context window is too small. They are still tried
when nothing else is left.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec

from accounts.common import wildcards
from proxy.translation.dialects.lookup import dialect_named
from proxy.translation.quirks import Quirks
from upstreams.catalog.entries import IdleRoute
from upstreams.catalog.snapshot import Catalogue, CredentialEntry, ModelEntry, ResolvedModel, RouteEntry, UpstreamEntry
from upstreams.models import Strategy
from upstreams.routing import context_windows, credential_state
from upstreams.routing.circuit_breaker import BreakerState
from upstreams.routing.cooldowns import named_route
from upstreams.routing.decision import Choice, Skip, SkipReason
from upstreams.routing.live_state import RoutingState
from upstreams.routing.remote_objects import Holder

PriceOf = Callable[[str, str, str], Decimal | None]
"""USD for a million input and a million output tokens, by model id, upstream id and remote name. Passed in: prices are billing's."""


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """One candidate for a request. ``quirks`` are the upstream's, overridden by the model's."""

    model: ModelEntry
    route: RouteEntry
    upstream: UpstreamEntry
    credential: CredentialEntry | None
    remote_name: str
    quirks: Quirks

    @property
    def credential_id(self) -> str:
        """The credential's id; for an upstream without credentials, the upstream's id."""
        return self.credential.id if self.credential is not None else self.upstream.id

    @property
    def takes_any_name(self) -> bool:
        """Whether the client's own name, or a part of it, is the remote name: then it may be a name that the upstream does not have."""
        if not self.route.remote_name:
            return self.remote_name not in (self.model.name, *self.model.aliases)
        return wildcards.is_pattern(self.route.remote_name)

    @property
    def cooldown_route(self) -> str:
        """The route in names of cooldowns: its id, and where clients choose the remote name, that name (:func:`named_route`)."""
        return named_route(self.route.id, self.remote_name) if self.takes_any_name else self.route.id

    @property
    def is_signed(self) -> bool:
        """Whether requests are signed with AWS's SigV4 instead of carrying the secret."""
        has_access_key = self.credential is not None and bool(self.credential.access_key_id)
        return has_access_key and bool(dialect_named(self.upstream.dialect).upstream.sigv4_service)


class Requirements(msgspec.Struct, frozen=True, kw_only=True):
    """What a request demands of its target. ``tokens``: its estimated input. ``session``: see :func:`session_of`."""

    capabilities: frozenset[str] = frozenset()
    tokens: int = 0
    session: str | None = None
    upstream: str = ""
    """The name of the only upstream that may be used, chosen by the client; empty: any."""
    holder: Holder | None = None
    """Who holds the remote object that the request names. Only targets there are tried, and none that is put back for its health."""


class Plan(msgspec.Struct, frozen=True):
    """``targets`` in the order in which they are tried. ``choice`` explains the first one; ``None`` if there are fewer than two.

    ``retry_after``: seconds until the first holder of a remote object has cooled, if the request has no target only for that.
    """

    targets: list[Target]
    skips: list[Skip]
    choice: Choice | None = None
    retry_after: float | None = None


def plan(
    resolved: ResolvedModel,
    catalogue: Catalogue,
    *,
    requirements: Requirements,
    state: RoutingState,
    is_allowed: Callable[[ResolvedModel], bool],
    price_of: PriceOf,
) -> Plan:
    """The plan for a request of ``resolved``. ``is_allowed``: whether the client key may use a fallback."""
    targets: list[Target] = []
    put_back: list[tuple[int, Target]] = []
    skips: list[Skip] = []
    for candidate in with_fallbacks(resolved, catalogue, skips):
        if candidate.model.idle:
            skips.extend(map(_not_served, candidate.model.idle))
        if candidate is not resolved and not is_allowed(candidate):
            skips.append(Skip(reason=SkipReason.MODEL_NOT_ALLOWED, text="not allowed for this key", model=candidate.requested))
            continue
        for target in _ordered(candidate, requirements, state, price_of):
            skip = _left_out(target, requirements)
            if skip is not None:
                skips.append(skip)
                continue
            skip = _put_back(target, requirements, state)
            if skip is None:
                targets.append(target)
            else:
                skips.append(skip)
                put_back.append((_PUT_BACK_RANKS[skip.reason], target))
    if requirements.holder is not None and not targets:
        return _plan_without_holder(put_back, skips, state)
    has_best = bool(targets)
    put_back.sort(key=lambda ranked: ranked[0])
    targets += [target for _, target in put_back]
    if len(targets) < 2:
        return Plan(targets, skips)
    return Plan(targets, skips, _choice(targets[0], requirements, state, has_best=has_best))


def _plan_without_holder(put_back: list[tuple[int, Target]], skips: list[Skip], state: RoutingState) -> Plan:
    """The plan of a request whose holder is not at its best: to try it for a doubtful context window, but not while it is ill."""
    doubtful = [target for rank, target in put_back if rank == _PUT_BACK_RANKS[SkipReason.CONTEXT_WINDOW_TOO_SMALL]]
    ends = [
        state.cooldowns.until(target.credential_id, target.cooldown_route, target.upstream.id)
        for rank, target in put_back
        if rank == _PUT_BACK_RANKS[SkipReason.COOLING]
    ]
    wait = max(0.0, min(ends) - state.clock()) if ends and not doubtful else None
    return Plan(doubtful, skips, retry_after=wait)


def with_fallbacks(resolved: ResolvedModel, catalogue: Catalogue, skips: list[Skip]) -> Iterable[ResolvedModel]:
    """A model, then its fallbacks depth first, each one once. Fallbacks that do not exist are added to ``skips``."""
    visited: set[str] = set()
    waiting = [resolved]
    while waiting:
        candidate = waiting.pop(0)
        if candidate.model.id in visited:
            continue
        visited.add(candidate.model.id)
        yield candidate
        fallbacks = []
        for name in candidate.model.fallbacks:
            fallback = catalogue.find(name, resolved.model.path_prefix) or catalogue.find(name)
            if fallback is not None:
                fallbacks.append(fallback)
            else:
                skips.append(Skip(reason=SkipReason.MODEL_NOT_FOUND, text="no such model, or it is switched off", model=name))
        waiting[:0] = fallbacks


def _ordered(resolved: ResolvedModel, requirements: Requirements, state: RoutingState, price_of: PriceOf) -> list[Target]:
    """The targets of one model: its routes by its strategy, each with its credentials; first the credential of the session."""
    routes = resolved.model.routes
    if len(routes) > 1 and resolved.model.strategy != Strategy.PRIORITY:
        routes = tuple(_by_strategy(resolved, routes, state, price_of))
    targets = [target for route in routes for target in _with_credentials(route, resolved, state)]
    pinned_id = _pinned_credential(resolved.model, requirements, state) if len(targets) > 1 else None
    pinned = next((target for target in targets if target.credential_id == pinned_id), None)
    if pinned is not None:
        targets.sort(key=lambda target: (_preference(target.route), not _keeps_session(target, pinned)))
    return targets


def _pinned_credential(model: ModelEntry, requirements: Requirements, state: RoutingState) -> str | None:
    return state.sessions.credential_of(session_of(requirements.session, model)) if requirements.session else None


def _choice(target: Target, requirements: Requirements, state: RoutingState, *, has_best: bool) -> Choice:
    """Why a target is the first. ``has_best``: whether any target was not put back."""
    if not has_best:
        text = "nothing better is left"
    elif target.credential_id == _pinned_credential(target.model, requirements, state):
        text = "session kept"
    else:
        text = f"strategy {target.model.strategy}"
    return Choice(text=text, model=target.remote_name, upstream=target.upstream.name, credential=_credential_name(target))


def _keeps_session(target: Target, pinned: Target) -> bool:
    """Whether a target has the session's credential, or one of the same upstream that is preferred to it (it has recovered)."""
    if target.credential is None or pinned.credential is None:
        return target.credential_id == pinned.credential_id
    is_preferred = target.credential.priority < pinned.credential.priority
    return target.credential_id == pinned.credential_id or (is_preferred and target.upstream.id == pinned.upstream.id)


def session_of(session: str, model: ModelEntry) -> str:
    """The name under which a session's credential is stored: an agent's session uses several models, each with its own credential."""
    return f"{model.id}/{session}"


def _preference(route: RouteEntry) -> tuple[int, int]:
    return (route.priority, route.upstream.priority)


def _by_strategy(resolved: ResolvedModel, routes: tuple[RouteEntry, ...], state: RoutingState, price_of: PriceOf) -> list[RouteEntry]:
    """The routes by preference, and routes of equal preference by a strategy other than their weight."""
    strategy = resolved.model.strategy
    if strategy == Strategy.WEIGHTED:
        # The weighted random order of Efraimidis and Spirakis: u^(1/weight), the largest first.
        draw = {route.id: random.random() ** (1 / route.weight) if route.weight else 0.0 for route in routes}  # noqa: S311
        return sorted(routes, key=lambda route: (_preference(route), -draw[route.id]))
    if strategy == Strategy.LATENCY:
        return sorted(routes, key=lambda route: (_preference(route), state.latency(route.id)))
    if strategy == Strategy.COST:
        unpriced = Decimal("Infinity")
        prices = {route.id: price_of(resolved.model.id, route.upstream.id, remote_name(route, resolved)) for route in routes}
        return sorted(routes, key=lambda route: (_preference(route), unpriced if (price := prices[route.id]) is None else price))
    turn = state.next_turn(resolved.model.id) % len(routes)
    return sorted(routes[turn:] + routes[:turn], key=_preference)


def _with_credentials(route: RouteEntry, resolved: ResolvedModel, state: RoutingState) -> list[Target]:
    """A route with each credential of its upstream; of equal priority, the one after the last used comes first."""
    upstream = route.upstream
    credentials: tuple[CredentialEntry | None, ...] = upstream.credentials or (None,)
    if len(credentials) > 1:
        credentials = _rotated(upstream.credentials, state.last_credential(upstream.id))
    name = remote_name(route, resolved)
    return [
        Target(model=resolved.model, route=route, upstream=upstream, credential=credential, remote_name=name, quirks=route.quirks)
        for credential in credentials
    ]


def _rotated(credentials: tuple[CredentialEntry, ...], last_id: str) -> tuple[CredentialEntry, ...]:
    for index, credential in enumerate(credentials):
        if credential.id == last_id:
            return tuple(sorted(credentials[index + 1 :] + credentials[: index + 1], key=lambda entry: entry.priority))
    return credentials


def _left_out(target: Target, requirements: Requirements) -> Skip | None:
    """Why a target cannot serve the request at all."""
    if requirements.upstream and requirements.upstream != target.upstream.name:
        return skip_of(target, SkipReason.ANOTHER_UPSTREAM_CHOSEN, "another upstream was chosen")
    if requirements.holder is not None and not requirements.holder.is_at(target.upstream, target.credential):
        return skip_of(target, SkipReason.OBJECT_ELSEWHERE, "does not hold what the request names")
    missing = [name for name in sorted(requirements.capabilities) if target.route.capabilities.get(name) is False]
    return skip_of(target, SkipReason.CAPABILITY_MISSING, f"takes no {' and no '.join(missing)}") if missing else None


_PUT_BACK_RANKS = {
    SkipReason.COOLING: 1,
    SkipReason.BREAKER_OPEN: 2,
    SkipReason.CREDENTIAL_DISABLED: 3,
    SkipReason.CONTEXT_WINDOW_TOO_SMALL: 4,
}
"""The order of targets that are put back: what may have passed by now comes before what the provider refused or what cannot fit."""


def _put_back(target: Target, requirements: Requirements, state: RoutingState) -> Skip | None:
    """Why the other targets are tried before this one."""
    window = context_windows.window_of(target.model, target.route, target.remote_name) if requirements.tokens else 0
    if requirements.tokens > window:
        return skip_of(target, SkipReason.CONTEXT_WINDOW_TOO_SMALL, f"about {requirements.tokens} tokens do not fit {window}")
    if target.credential is not None and (target.credential.is_disabled or credential_state.was_refused(target.credential.id)):
        return skip_of(target, SkipReason.CREDENTIAL_DISABLED, "key disabled")
    if state.breakers.state(target.upstream.id) is BreakerState.OPEN:
        return skip_of(target, SkipReason.BREAKER_OPEN, "circuit breaker open")
    until = state.cooldowns.until(target.credential_id, target.cooldown_route, target.upstream.id)
    if until:
        return skip_of(target, SkipReason.COOLING, f"cooling for {max(0.0, until - state.clock()):.1f} s")
    return None


def _not_served(idle: IdleRoute) -> Skip:
    return Skip(reason=SkipReason.NOT_SERVED, text=idle.reason, model=idle.remote_name, upstream=idle.upstream_name)


def skip_of(target: Target, reason: SkipReason, text: str) -> Skip:
    """The skip of a target."""
    return Skip(reason=reason, text=text, model=target.remote_name, upstream=target.upstream.name, credential=_credential_name(target))


def _credential_name(target: Target) -> str:
    return target.credential.name or target.credential.id if target.credential else ""


def remote_name(route: RouteEntry, resolved: ResolvedModel) -> str:
    """The upstream's name of the model: the requested name if the route has none; the n-th ``*`` takes what the n-th ``*`` matched.

    A model that was found by a literal name has no matches: then the first ``*`` of the remote name takes the whole name.
    """
    if not route.remote_name:
        return resolved.requested
    if not wildcards.is_pattern(route.remote_name):
        return route.remote_name
    return wildcards.fill(route.remote_name, resolved.stars or (resolved.requested,))

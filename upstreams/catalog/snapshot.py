"""The catalogue: upstreams, credentials, models and routes in memory, as one snapshot of the database.

A snapshot is frozen. It is replaced as a whole when the revision ``catalogue`` changes (:mod:`accounts.cache_revisions`); a
request keeps the one with which it began. Loading takes four queries for any number of rows. While the database is
unreachable, the last snapshot is used.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import msgspec

from accounts import cache_revisions
from accounts.common import wildcards
from proxy.translation.dialects.lookup import own_names
from proxy.translation.policies import model_policies
from proxy.translation.quirks import Quirks, merged
from upstreams.catalog.entries import COPIED, CredentialEntry, IdleRoute, ModelEntry, Network, ResolvedModel, RouteEntry, UpstreamEntry
from upstreams.models import Model, Route, Upstream, UpstreamCredential
from upstreams.presets import PROCESS_ID
from upstreams.secrets import store, vault

__all__ = [
    "Catalogue",
    "CredentialEntry",
    "ModelEntry",
    "ResolvedModel",
    "RouteEntry",
    "UpstreamEntry",
    "current",
    "entries_of",
    "find_after_refresh",
    "load",
    "refresh",
]

logger = logging.getLogger("pxbin.catalogue")

_process_id = str(uuid.uuid4())
UNREPAIRED = {"unanswered_calls": "pass"}
"""The quirks of models that do not repair the tool history."""
MAX_CACHED_NAMES = 4096
"""Results of pattern matching that are cached for each path prefix."""
MAX_CACHED_NAME_LENGTH = 256


class _Group:
    """The names below one path prefix. The name of a model that is not served maps to ``None``; patterns are not tried for it."""

    def __init__(self) -> None:
        self.names: dict[str, ModelEntry | None] = {}
        self.aliases: dict[str, ModelEntry | None] = {}
        self.idle: dict[str, ModelEntry] = {}
        self._patterns: list[tuple[str, ModelEntry]] = []
        self._cache: dict[str, ResolvedModel | None] = {}

    def add(self, entry: ModelEntry, *, is_served: bool) -> None:
        """Add a model's name and aliases."""
        served = entry if is_served else None
        for index, name in ((self.names, entry.name), *((self.aliases, alias) for alias in entry.aliases)):
            if not wildcards.is_pattern(name):
                index.setdefault(name, served)
                if not is_served:
                    self.idle.setdefault(name, entry)
            elif is_served:
                self._patterns.append((name, entry))

    def close(self) -> None:
        """Sort the patterns in the order in which they are tried: the longest literal text first, then by name."""
        self._patterns.sort(key=lambda item: (-wildcards.literal_length(item[0]), item[0]))

    def find(self, name: str) -> ResolvedModel | None:
        """The model of a name: by exact name, by alias, by its name in a client's model picker, by pattern."""
        if name in self.names or name in self.aliases:
            return self._named(name)
        for candidate in own_names(name):
            if candidate in self.names or candidate in self.aliases:
                return self._named(candidate)
        if not self._patterns:
            return None
        if name in self._cache:
            return self._cache[name]
        resolved = self._match(name)
        if len(name) <= MAX_CACHED_NAME_LENGTH:
            if len(self._cache) >= MAX_CACHED_NAMES:
                self._cache.clear()
            self._cache[name] = resolved
        return resolved

    def _named(self, name: str) -> ResolvedModel | None:
        entry = self.names[name] if name in self.names else self.aliases[name]
        return None if entry is None else ResolvedModel(entry, name)

    def _match(self, name: str) -> ResolvedModel | None:
        # The shortest name first: a pattern of any name would send what only the picker adds to the upstream.
        for candidate in (*reversed(own_names(name)), name):
            for pattern, entry in self._patterns:
                stars = wildcards.match(pattern, candidate)
                if stars is not None:
                    return ResolvedModel(entry, candidate, stars)
        return None


_EMPTY = _Group()


class Catalogue:
    """One snapshot of the database; immutable."""

    def __init__(self, models: Iterable[tuple[ModelEntry, bool]] = (), upstreams: Iterable[UpstreamEntry] = ()) -> None:
        """``models``: entries, each with whether it is served. Names of those that are not served match no pattern of others."""
        groups: defaultdict[str, _Group] = defaultdict(_Group)
        served = []
        for entry, is_served in models:
            groups[entry.path_prefix].add(entry, is_served=is_served)
            if is_served:
                served.append(entry)
        for group in groups.values():
            group.close()
        self._groups: Mapping[str, _Group] = dict(groups)
        self.models = tuple(served)
        self.upstreams = {upstream.id: upstream for upstream in upstreams}
        self.reachable: dict[str, tuple[ResolvedModel, ...]] = {}
        """Results of :func:`upstreams.catalog.reachable_names.reachable_names` by path prefix."""

    def find(self, name: str, prefix: str = "") -> ResolvedModel | None:
        """The model of ``name`` below ``prefix``: by exact name, then by alias, then by the pattern with the longest literal text.

        A name of a client's model picker is resolved as the name that it stands for, which is the ``requested`` of the result.
        """
        return self._groups.get(prefix, _EMPTY).find(name)

    def find_idle(self, name: str, prefix: str = "") -> ModelEntry | None:
        """The model with this name or alias that is not served: switched off, or without a usable route. For errors and the log."""
        return self._groups.get(prefix, _EMPTY).idle.get(name)

    def listed(self, prefix: str = "") -> list[ModelEntry]:
        """The models below ``prefix`` whose names are not patterns, sorted by name."""
        return sorted(
            (entry for entry in self.models if entry.path_prefix == prefix and not wildcards.is_pattern(entry.name)),
            key=lambda entry: entry.name,
        )

    def prefixes(self) -> list[str]:
        """The non-empty path prefixes that have models, the longest first."""
        return sorted((prefix for prefix in self._groups if prefix), key=lambda prefix: (-len(prefix), prefix))

    @property
    def model_count(self) -> int:
        """The number of served models."""
        return len(self.models)

    @property
    def upstream_count(self) -> int:
        """The number of active upstreams."""
        return len(self.upstreams)


# --- building a snapshot ---------------------------------------------------------------------------------------------


def load() -> Catalogue:
    """Read a snapshot in four queries. A credential that cannot be decrypted and a row with invalid quirks are left out and logged.

    An upstream that has credentials, but none usable, is not called without one: its routes are idle.
    """
    credentials: defaultdict[Any, list[CredentialEntry]] = defaultdict(list)
    without_credential: dict[Any, str] = {}
    for row in UpstreamCredential.objects.order_by("priority", "created_at", "id"):
        credential = _credential(row) if row.is_active else None
        if credential is not None:
            credentials[row.upstream_id].append(credential)
        elif row.is_active:
            without_credential[row.upstream_id] = "the upstream's keys cannot be read"
        else:
            without_credential.setdefault(row.upstream_id, "the upstream's keys are switched off")
    upstreams = {}
    for upstream_row in Upstream.objects.filter(is_active=True):
        try:
            upstreams[upstream_row.pk] = (
                upstream_row,
                _upstream(upstream_row, tuple(sorted(credentials.get(upstream_row.pk, ()), key=lambda entry: entry.is_disabled))),
            )
        except msgspec.ValidationError as error:
            logger.warning("upstream %s is not used, its quirks are invalid: %s", upstream_row.name, error)
    routes: defaultdict[Any, list[Route]] = defaultdict(list)
    idle: defaultdict[Any, list[IdleRoute]] = defaultdict(list)
    for route in Route.objects.select_related("upstream").order_by("created_at", "id"):
        has_credential = (
            route.upstream_id not in without_credential or route.upstream_id in credentials or route.upstream.pass_client_credentials
        )
        if route.is_active and route.upstream_id in upstreams and has_credential:
            routes[route.model_id].append(route)
        else:
            idle[route.model_id].append(_idle_route(route, "" if has_credential else without_credential[route.upstream_id]))
    models = [_model(row, routes[row.pk], idle[row.pk], upstreams) for row in Model.objects.order_by("path_prefix", "name")]
    return Catalogue(models, [upstream for _, upstream in upstreams.values()])


def _idle_route(route: Route, credential_problem: str) -> IdleRoute:
    """A route that is not served, with the reason. ``credential_problem``: why its upstream has no usable credential."""
    subject = "route" if not route.is_active else "upstream"
    is_off = not (route.is_active and route.upstream.is_active)
    reason = f"the {subject} is switched off" if is_off else credential_problem or "the upstream's quirks are wrong"
    return IdleRoute(upstream_name=route.upstream.name, remote_name=route.remote_name, reason=reason)


def _credential(row: UpstreamCredential) -> CredentialEntry | None:
    try:
        secret, session_token = store.split_secret(store.decrypt(row.secret_encrypted) if row.secret_encrypted else "")
    except vault.VaultError as error:
        logger.warning("credential %s of upstream %s is not used: %s", row.pk, row.upstream_id, error)
        return None
    return CredentialEntry(
        id=str(row.pk),
        name=row.name,
        secret=secret,
        access_key_id=row.access_key_id,
        session_token=session_token,
        priority=row.priority,
        is_disabled=bool(row.disabled_reason),
        recovered=_seconds(row.recovered_at),
    )


def _seconds(moment: datetime | None) -> float:
    return moment.timestamp() if moment is not None else 0.0


def entries_of(row: Upstream) -> tuple[UpstreamEntry, CredentialEntry | None]:
    """An upstream with its active credentials, and the preferred one, read from the database for a probe; a disabled one comes last."""
    rows = UpstreamCredential.objects.filter(upstream_id=row.pk, is_active=True)
    rows = rows.order_by("disabled_reason", "priority", "created_at", "id")
    credentials = tuple(entry for credential in rows if (entry := _credential(credential)) is not None)
    return _upstream(row, credentials), credentials[0] if credentials else None


def _upstream(row: Upstream, credentials: tuple[CredentialEntry, ...]) -> UpstreamEntry:
    return UpstreamEntry(
        id=str(row.pk),
        name=row.name,
        base_url=row.base_url,
        dialect=row.dialect,
        region=row.region,
        auth_header=row.auth_header,
        auth_scheme=row.auth_scheme,
        extra_headers={name: text.replace(PROCESS_ID, _process_id) for name, text in row.extra_headers.items()},
        connect_timeout=row.connect_timeout_seconds,
        first_byte_timeout=row.first_byte_timeout_seconds,
        idle_timeout=row.idle_timeout_seconds,
        max_retries=row.max_retries,
        retry_base_delay=row.retry_base_delay_ms / 1000,
        cooldown=row.cooldown_seconds,
        pass_client_credentials=row.pass_client_credentials,
        priority=row.priority,
        quirks=merged(row.quirks),
        capabilities=row.capabilities,
        credentials=credentials,
        recovered=_seconds(row.recovered_at),
        network=_network(row),
    )


def _network(row: Upstream) -> Network | None:
    network = Network(proxy=row.proxy, ca_file=row.ca_file, client_certificate_file=row.client_certificate_file, http2=row.http2)
    return None if network == Network() else network


def _model(
    row: Model, routes: Iterable[Route], idle: Iterable[IdleRoute], upstreams: Mapping[Any, tuple[Upstream, UpstreamEntry]]
) -> tuple[ModelEntry, bool]:
    """A model's entry, and whether it is served: active, with a usable route or with fallbacks."""
    usable = []
    for route in routes:
        upstream_row, upstream = upstreams[route.upstream_id]
        try:
            layers = (upstream_row.quirks, {} if row.repair_tool_history else UNREPAIRED, row.quirks)
            quirks = merged(*layers) if any(layers[1:]) else upstream.quirks
        except msgspec.ValidationError as error:
            logger.warning("model %s is not served, its quirks are invalid: %s", row, error)
            break
        usable.append(_route(route, upstream, quirks))
    usable.sort(key=lambda route: (route.priority, route.upstream.priority, -route.weight))
    fields = {field: getattr(row, field) for field in COPIED}
    try:
        policies = model_policies.policies_from(fields)
    except msgspec.ValidationError as error:
        logger.warning("model %s is not served, its policies are invalid: %s", row, error)
        policies, usable = model_policies.NONE, []
    entry = ModelEntry(
        id=str(row.pk),
        aliases=tuple(row.aliases),
        fallbacks=tuple(row.fallbacks),
        routes=tuple(usable),
        idle=tuple(idle),
        created=int(row.created_at.timestamp()),
        policies=policies,
        **fields,
    )
    return entry, row.is_active and bool(usable or row.fallbacks)


def _route(row: Route, upstream: UpstreamEntry, quirks: Quirks) -> RouteEntry:
    return RouteEntry(
        id=str(row.pk),
        upstream=upstream,
        remote_name=row.remote_name,
        priority=row.priority,
        weight=row.weight,
        context_window=row.context_window,
        listed_context_window=row.listed_context_window,
        capabilities={**upstream.capabilities, **row.capabilities},
        quirks=quirks,
    )


# --- the snapshot of this process ------------------------------------------------------------------------------------

_current = Catalogue()


def current() -> Catalogue:
    """The snapshot of this process; empty until it is first loaded."""
    return _current


def refresh() -> None:
    """Replace the snapshot of this process. If the database raises an error, the old one stays."""
    global _current  # noqa: PLW0603  (one for each process)
    _current = load()


async def find_after_refresh(name: str, prefix: str = "") -> ResolvedModel | None:
    """:meth:`Catalogue.find` after checking the revision: another process may have just created the model."""
    await cache_revisions.refresh_now()
    return current().find(name, prefix)


cache_revisions.on_change("catalogue", refresh)

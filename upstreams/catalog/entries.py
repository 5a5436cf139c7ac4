"""The entries of the catalogue: frozen values of rows, as requests need them. Made by :mod:`upstreams.catalog.snapshot`."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation.policies.model_policies import NONE, Policies
from proxy.translation.quirks import DEFAULT, Quirks


class CredentialEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A credential in plain text. ``access_key_id``: for AWS only; the secret is then its secret access key.

    ``session_token``: of temporary AWS credentials.
    """

    id: str
    name: str = ""
    secret: str = ""
    access_key_id: str = ""
    session_token: str = ""
    priority: int = 0
    is_disabled: bool = False
    """The provider has refused it: it is tried only when nothing else is left."""
    recovered: float = 0.0
    """When an admin or a health check last enabled it (Unix seconds)."""

    def __repr__(self) -> str:
        return f"CredentialEntry(id={self.id!r}, name={self.name!r})"


class Network(msgspec.Struct, frozen=True, kw_only=True):
    """How an upstream is connected to, where that differs from the others. Paths are those of PEM files on this machine.

    ``proxy``: the URL of an HTTP proxy, ``none``, or empty for the one of the settings. ``client_certificate_file``: a certificate with
    its private key. ``http2``: only HTTP/2 is spoken.
    """

    proxy: str = ""
    ca_file: str = ""
    client_certificate_file: str = ""
    http2: bool = False


class UpstreamEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An upstream. Times are in seconds. ``credentials``: the active ones, decrypted, the preferred first."""

    id: str
    name: str
    base_url: str
    dialect: str
    region: str = ""
    auth_header: str = ""
    auth_scheme: str = ""
    extra_headers: dict[str, str] = {}
    connect_timeout: float = 10.0
    first_byte_timeout: float = 300.0
    idle_timeout: float = 120.0
    max_retries: int = 0
    retry_base_delay: float = 1.0
    cooldown: float = 60.0
    pass_client_credentials: bool = False
    priority: int = 0
    quirks: Quirks = DEFAULT
    capabilities: dict[str, bool] = {}
    credentials: tuple[CredentialEntry, ...] = ()
    recovered: float = 0.0
    network: Network | None = None
    """``None``: as by default."""


class RouteEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A route of a model. ``quirks`` are the upstream's, overridden by the model's; ``capabilities`` the upstream's, by the route's."""

    id: str
    upstream: UpstreamEntry
    remote_name: str = ""
    priority: int = 0
    weight: int = 1
    context_window: int | None = None
    listed_context_window: int | None = None
    capabilities: dict[str, bool] = {}
    quirks: Quirks = DEFAULT


class IdleRoute(msgspec.Struct, frozen=True, kw_only=True):
    """A route of a model that is not served, with the reason as the log shows it."""

    upstream_name: str
    remote_name: str
    reason: str


class ModelEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A model. ``routes``: those that are served, the preferred first; ``idle``: the others. ``created``: Unix seconds."""

    id: str
    name: str
    path_prefix: str = ""
    display_name: str | None = None
    provider: str = ""
    aliases: tuple[str, ...] = ()
    context_window: int | None = None
    max_output_tokens: int | None = None
    quirks: dict[str, Any] = {}
    fallbacks: tuple[str, ...] = ()
    strategy: str = "priority"
    routes: tuple[RouteEntry, ...] = ()
    idle: tuple[IdleRoute, ...] = ()
    created: int = 0
    timeout_seconds: float | None = None
    cooldown_seconds: float | None = None
    hedge_after_ms: int | None = None
    allow_anonymous: bool = False
    capture_payloads: bool = False
    is_active: bool = True
    max_tokens_default: int | None = None
    max_tokens_cap: int | None = None
    temperature: float | None = None
    system_replacements: dict[str, str] = {}
    system_append: str = ""
    inject_progress: bool = False
    body_defaults: dict[str, Any] = {}
    body_extensions: dict[str, Any] = {}
    tool_enforcement: dict[str, Any] = {}
    repair_tool_history: bool = True
    buffer_tool_calls: bool = False
    smooth_streaming: bool = False
    policies: Policies = NONE
    """The fields above that change requests and streams, decoded."""


COPIED = tuple(
    field for field in ModelEntry.__struct_fields__ if field not in ("id", "aliases", "fallbacks", "routes", "idle", "created", "policies")
)
"""The fields that are copied from the row unchanged."""


class ResolvedModel(msgspec.Struct, frozen=True):
    """A model that matches ``requested``: the client's name without what only a client's model picker adds to it.

    ``stars``: the texts that the ``*`` of the model's pattern matched; empty without a pattern.
    """

    model: ModelEntry
    requested: str
    stars: tuple[str, ...] = ()

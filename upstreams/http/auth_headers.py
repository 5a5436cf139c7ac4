"""The request headers that carry an upstream's credential, and its extra headers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from upstreams.catalog.entries import CredentialEntry, UpstreamEntry

OWN_HEADERS: Mapping[str, tuple[str, str]] = {
    "openai_chat": ("authorization", "Bearer"),
    "openai_responses": ("authorization", "Bearer"),
    "anthropic": ("x-api-key", ""),
    "bedrock": ("authorization", "Bearer"),
    "passthrough": ("authorization", "Bearer"),
}
"""Each dialect's header for a credential and the word before it. Bedrock: a bearer key; SigV4 is signed request by request."""


def headers(upstream: UpstreamEntry, credential: CredentialEntry | None) -> list[tuple[str, str]]:
    """The credential's header and the upstream's extra headers. An extra header replaces a credential's of the same name."""
    extra = list(upstream.extra_headers.items())
    if credential is None or not credential.secret or (upstream.dialect == "bedrock" and credential.access_key_id):
        return extra
    name, value = credential_header(upstream.dialect, credential.secret, auth_header=upstream.auth_header, auth_scheme=upstream.auth_scheme)
    if any(own.lower() == name.lower() for own, _ in extra):
        return extra
    return [(name, value), *extra]


def credential_header(dialect: str, secret: str, *, auth_header: str = "", auth_scheme: str = "") -> tuple[str, str]:
    """The header that carries ``secret``. With an own ``auth_header`` an empty scheme means the bare secret."""
    own_header, own_scheme = OWN_HEADERS[dialect]
    scheme = auth_scheme or ("" if auth_header else own_scheme)
    return auth_header or own_header, f"{scheme} {secret}" if scheme else secret


def passed_on(upstream: UpstreamEntry, own: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The client's own credentials for an upstream that wants them, and its extra headers.

    Unchanged; or, where the upstream names a header or a scheme, the bare secret put into these.
    """
    given = list(own)
    if given and (upstream.auth_header or upstream.auth_scheme):
        name, value = given[0]
        secret = value.partition(" ")[2].strip() or value if name == "authorization" else value
        given = [credential_header(upstream.dialect, secret, auth_header=upstream.auth_header, auth_scheme=upstream.auth_scheme)]
    return [*given, *upstream.extra_headers.items()]

"""The request headers that carry an upstream's credential, and its extra headers."""

from __future__ import annotations

from collections.abc import Iterable

from proxy.translation.dialects.lookup import dialect_named
from upstreams.catalog.entries import CredentialEntry, UpstreamEntry


def headers(upstream: UpstreamEntry, credential: CredentialEntry | None) -> list[tuple[str, str]]:
    """The credential's header and the upstream's extra headers. An extra header replaces a credential's of the same name."""
    extra_headers = list(upstream.extra_headers.items())
    if credential is None or not credential.secret or (credential.access_key_id and dialect_named(upstream.dialect).upstream.sigv4_service):
        return extra_headers
    name, value = credential_header(upstream.dialect, credential.secret, auth_header=upstream.auth_header, auth_scheme=upstream.auth_scheme)
    if any(extra.lower() == name.lower() for extra, _ in extra_headers):
        return extra_headers
    return [(name, value), *extra_headers]


def credential_header(dialect: str, secret: str, *, auth_header: str = "", auth_scheme: str = "") -> tuple[str, str]:
    """The header that carries ``secret``. With an own ``auth_header`` an empty scheme means the bare secret."""
    default = dialect_named(dialect).upstream.auth
    scheme = auth_scheme or ("" if auth_header else default.scheme)
    return auth_header or default.name, f"{scheme} {secret}" if scheme else secret


def passed_on(upstream: UpstreamEntry, client_credentials: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The client's own credentials for an upstream that wants them, and its extra headers.

    Unchanged; or, where the upstream names a header or a scheme, the bare secret put into these.
    """
    passed = list(client_credentials)
    if passed and (upstream.auth_header or upstream.auth_scheme):
        name, value = passed[0]
        secret = value.partition(" ")[2].strip() or value if name == "authorization" else value
        passed = [credential_header(upstream.dialect, secret, auth_header=upstream.auth_header, auth_scheme=upstream.auth_scheme)]
    return [*passed, *upstream.extra_headers.items()]

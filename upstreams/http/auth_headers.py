"""How pxbin identifies itself to upstreams, and how their keys get into the database and out again."""

from __future__ import annotations

from collections.abc import Iterable

from django.utils import timezone

from accounts.last_used import LastUse
from proxy.translation.dialects.lookup import dialect_named
from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.models import Upstream, UpstreamCredential
from upstreams.secrets import vault

FORGOTTEN = "Its key could no longer be decrypted and was removed: enter a new one."
used = LastUse(UpstreamCredential)
"""Which keys requests were sent with."""
answered = LastUse(Upstream, "answered_at")
"""Which upstreams have answered requests to the end."""


def headers(upstream: UpstreamEntry, credential: CredentialEntry | None) -> list[tuple[str, str]]:
    """The credential's header and the upstream's extra headers. An extra header replaces a credential's of the same name."""
    extra = list(upstream.extra_headers.items())
    if credential is None or not credential.secret or (credential.access_key_id and dialect_named(upstream.dialect).upstream.sigv4_service):
        return extra
    name, value = credential_header(upstream.dialect, credential.secret, auth_header=upstream.auth_header, auth_scheme=upstream.auth_scheme)
    if any(own.lower() == name.lower() for own, _ in extra):
        return extra
    return [(name, value), *extra]


def credential_header(dialect: str, secret: str, *, auth_header: str = "", auth_scheme: str = "") -> tuple[str, str]:
    """The header that carries ``secret``. With an own ``auth_header`` an empty scheme means the bare secret."""
    own = dialect_named(dialect).upstream.auth
    scheme = auth_scheme or ("" if auth_header else own.scheme)
    return auth_header or own.name, f"{scheme} {secret}" if scheme else secret


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


def set_secret(credential: UpstreamCredential, secret: str) -> None:
    """Put an upstream's key into a row, encrypted; the row is not saved. A key that was disabled gets another chance."""
    credential.secret_encrypted = vault.encrypt(secret.strip())
    credential.disabled_reason = ""
    credential.cooling_until = None
    credential.recovered_at = timezone.now()


def unreadable() -> dict[str, str]:
    """A sentence for each stored form that does not open with the passphrases of this process."""
    problems = {}
    rows = UpstreamCredential.objects.exclude(secret_encrypted="").order_by("upstream__name", "priority", "created_at")
    for upstream, name, stored in rows.values_list("upstream__name", "name", "secret_encrypted"):
        try:
            vault.decrypt(stored)
        except vault.VaultError as error:
            problems[stored] = f"credential {name or '(unnamed)'} of upstream {upstream}: {error}"
    return problems


def check_vault() -> None:
    """Refuse to start with a wrong key: raises :class:`~upstreams.secrets.vault.WrongKey` that lists every credential it cannot open."""
    if problems := unreadable():
        raise vault.WrongKey(list(problems.values()))


def forget(stored: Iterable[str]) -> int:
    """Empty the credentials with these stored forms, and disable them; they wait for a new key. Returns how many there were."""
    rows = UpstreamCredential.objects.filter(secret_encrypted__in=list(stored))
    return rows.update(secret_encrypted="", disabled_reason=FORGOTTEN)


def rotate() -> int:
    """Encrypt every stored key with the first passphrase of the ring; returns how many changed.

    Raises :class:`~upstreams.secrets.vault.WrongKey` before it changes anything when one of them cannot be opened. A key that is
    replaced meanwhile keeps its new value.
    """
    check_vault()
    ring = vault.ring()
    changed = 0
    for identity, stored in UpstreamCredential.objects.exclude(secret_encrypted="").values_list("pk", "secret_encrypted"):
        if not ring.is_current(stored):
            renewed = ring.encrypt(ring.decrypt(stored))
            changed += UpstreamCredential.objects.filter(pk=identity, secret_encrypted=stored).update(secret_encrypted=renewed)
    return changed

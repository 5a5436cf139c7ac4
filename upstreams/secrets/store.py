"""The credentials of upstreams in the database: encrypted and decrypted with the passphrases of the settings, checked and rotated."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable

from django.conf import settings
from django.utils import timezone

from upstreams.models import UpstreamCredential
from upstreams.secrets import vault

SECRET_REMOVED = "The stored secret could no longer be decrypted and was removed: enter a new one."  # noqa: S105  (a message)


@functools.cache
def _ring_of(passphrases: tuple[str, ...]) -> vault.Ring:
    return vault.Ring(passphrases)


def ring() -> vault.Ring:
    """The ring of ``PXBIN_ENCRYPTION_KEY`` and ``PXBIN_ENCRYPTION_KEYS_OLD``."""
    return _ring_of((settings.PXBIN.encryption_key, *settings.PXBIN.encryption_keys_old))


def encrypt(text: str) -> str:
    """:meth:`Ring.encrypt <upstreams.secrets.vault.Ring.encrypt>` with the ring of the settings."""
    return ring().encrypt(text)


def decrypt(ciphertext: str) -> str:
    """:meth:`Ring.decrypt <upstreams.secrets.vault.Ring.decrypt>` with the ring of the settings."""
    return ring().decrypt(ciphertext)


def split_secret(text: str) -> tuple[str, str]:
    """A decrypted secret and its session token, which is empty but for temporary AWS credentials."""
    secret, _, session_token = text.partition("\n")
    return secret, session_token


def set_secret(credential: UpstreamCredential, secret: str, *, session_token: str = "", reference: str = "") -> None:
    """Set the secret of a credential, encrypted, and enable it if it was disabled or cooling. Does not save the row.

    ``session_token``: that of temporary AWS credentials; it is encrypted with the secret, in a second line.
    ``reference``: where a configuration file says that the secret is (``env:NAME``, ``file:PATH``).
    """
    credential.secret_encrypted = encrypt("\n".join(filter(None, (secret.strip(), session_token.strip()))))
    credential.secret_reference = reference
    credential.disabled_reason = ""
    credential.cooling_until = None
    credential.recovered_at = timezone.now()


def undecryptable() -> dict[str, str]:
    """The ciphertexts that do not open with the passphrases of the settings, each with a sentence that names its credential."""
    problems = {}
    rows = UpstreamCredential.objects.exclude(secret_encrypted="").order_by("upstream__name", "priority", "created_at")
    for upstream, name, ciphertext in rows.values_list("upstream__name", "name", "secret_encrypted"):
        try:
            decrypt(ciphertext)
        except vault.VaultError as error:
            problems[ciphertext] = f"credential {name or '(unnamed)'} of upstream {upstream}: {error}"
    return problems


def check_credentials() -> None:
    """Raise :class:`~upstreams.secrets.vault.WrongEncryptionKey` if any stored credential cannot be decrypted."""
    if problems := undecryptable():
        raise vault.WrongEncryptionKey(list(problems.values()))


def remove_secrets(ciphertexts: Iterable[str]) -> int:
    """Remove the secrets with these ciphertexts and disable their credentials until a new one is entered. Returns how many."""
    rows = UpstreamCredential.objects.filter(secret_encrypted__in=list(ciphertexts))
    return rows.update(secret_encrypted="", disabled_reason=SECRET_REMOVED)


renewals: list[Callable[[], int]] = []
"""Functions that encrypt the secrets of other apps' tables again, and return how many changed; :func:`rotate` runs them."""


def rotate() -> int:
    """Encrypt every stored secret with the first passphrase of the ring; returns how many changed.

    Raises :class:`~upstreams.secrets.vault.WrongEncryptionKey`, before anything changes, if a secret cannot be decrypted. A
    secret that is replaced meanwhile keeps its new value.
    """
    check_credentials()
    current = ring()
    changed = 0
    for pk, ciphertext in UpstreamCredential.objects.exclude(secret_encrypted="").values_list("pk", "secret_encrypted"):
        if not current.is_current(ciphertext):
            renewed = current.encrypt(current.decrypt(ciphertext))
            changed += UpstreamCredential.objects.filter(pk=pk, secret_encrypted=ciphertext).update(secret_encrypted=renewed)
    return changed + sum(renew() for renew in renewals)

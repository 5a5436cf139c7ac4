"""The vault: upstream credentials are stored encrypted, and a wrong key is noticed before anything is served.

A stored text is ``v2:<key id>:<base64 of nonce, ciphertext and tag>``: AES-256-GCM under a key that Argon2id derives from a
passphrase. The passphrases form a ring: the first encrypts (``PXBIN_ENCRYPTION_KEY``), all of them decrypt
(``PXBIN_ENCRYPTION_KEYS_OLD``), and ``manage.py rotate_encryption_key`` brings stored texts to the first. The key id tells
which passphrase a text needs without telling the passphrase. Texts of Go pxbin have no version and no key id; they are read
by :meth:`Ring.open_legacy` and never written.
"""

from __future__ import annotations

import base64
import binascii
import functools
import hashlib
import os
from collections.abc import Sequence

from argon2.low_level import Type, hash_secret_raw
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

VERSION = "v2"
NONCE_BYTES = 12
TAG_BYTES = 16
SALT = b"pxbin-encryption-key-v1"
MEMORY_KIB, PASSES, LANES, KEY_BYTES = 65536, 1, 4, 32
SHORTEST_LEGACY = 40


class VaultError(Exception):
    """A text cannot be encrypted or decrypted. Its words never hold the text or a key."""


class WrongKey(VaultError):  # noqa: N818  (it reads as what is the matter)
    """Stored credentials do not open with the passphrases of this process; ``problems`` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("The stored credentials cannot be decrypted:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = problems


@functools.cache
def derive(passphrase: str) -> bytes:
    """The key of a passphrase, as Go pxbin derives it. Takes 64 MiB and about 0.1 s, so once for each in a process."""
    return hash_secret_raw(
        passphrase.encode(),
        SALT,
        time_cost=PASSES,
        memory_cost=MEMORY_KIB,
        parallelism=LANES,
        hash_len=KEY_BYTES,
        type=Type.ID,
        version=0x13,
    )


class Ring:
    """Passphrases, the newest first."""

    def __init__(self, passphrases: Sequence[str]) -> None:
        if not passphrases or not all(passphrases):
            raise VaultError("There is no encryption key: set PXBIN_ENCRYPTION_KEY.")
        keys = [derive(passphrase) for passphrase in passphrases]
        self._ciphers = {key_id(key): AESGCM(key) for key in keys}
        self.current = key_id(keys[0])

    def encrypt(self, text: str) -> str:
        """A storable form of ``text``."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self.current].encrypt(nonce, text.encode(), _header(self.current))
        return f"{VERSION}:{self.current}:{base64.b64encode(nonce + sealed).decode()}"

    def decrypt(self, stored: str) -> str:
        """The text behind a stored form; raises :class:`VaultError`, never gives back anything else."""
        version, _, rest = stored.partition(":")
        known_id, _, encoded = rest.partition(":")
        if version != VERSION or not encoded:
            raise VaultError("not a text of this vault")
        cipher = self._ciphers.get(known_id)
        if cipher is None:
            raise VaultError(f"encrypted with another key (id {known_id})")
        return _open(cipher, encoded, _header(known_id))

    def open_legacy(self, stored: str) -> str:
        """The text behind a form of Go pxbin's: tried with every passphrase. Raises :class:`VaultError`.

        There, what is shorter than 40 characters or no base64 had never been encrypted; it is given back as it is.
        """
        if not looks_encrypted(stored):
            return stored
        for cipher in self._ciphers.values():
            try:
                return _open(cipher, stored, None)
            except VaultError:
                continue
        raise VaultError("encrypted with another key")

    def is_current(self, stored: str) -> bool:
        """Whether a stored form needs no rotation."""
        return stored.startswith(f"{VERSION}:{self.current}:")


def key_id(key: bytes) -> str:
    """Eight hexadecimal digits that name a derived key."""
    return hashlib.sha256(b"pxbin key id" + key).hexdigest()[:8]


def looks_encrypted(stored: str) -> bool:
    """Go pxbin's own test for its ciphertexts."""
    if len(stored) < SHORTEST_LEGACY:
        return False
    try:
        base64.b64decode(stored, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _header(known_id: str) -> bytes:
    """Authenticated together with the ciphertext."""
    return f"{VERSION}:{known_id}".encode()


def _open(cipher: AESGCM, encoded: str, header: bytes | None) -> str:
    try:
        sealed = base64.b64decode(encoded, validate=True)
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise VaultError("the stored text is damaged")
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], header).decode()
    except (InvalidTag, binascii.Error, ValueError):
        raise VaultError("the stored text is damaged, or the key is not the one it was encrypted with") from None


@functools.cache
def _ring_of(passphrases: tuple[str, ...]) -> Ring:
    return Ring(passphrases)


def ring() -> Ring:
    """The ring of this process's settings."""
    return _ring_of((settings.PXBIN.encryption_key, *settings.PXBIN.encryption_keys_old))


def encrypt(text: str) -> str:
    """:meth:`Ring.encrypt` with the ring of the settings."""
    return ring().encrypt(text)


def decrypt(stored: str) -> str:
    """:meth:`Ring.decrypt` with the ring of the settings."""
    return ring().decrypt(stored)

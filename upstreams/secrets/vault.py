"""The ciphers with which credentials are encrypted, and the ring of passphrases. No settings, no database.

A stored ciphertext is ``v2:<key id>:<base64 of nonce, ciphertext and tag>``: AES-256-GCM under a key that Argon2id derives from
a passphrase. The passphrases form a ring: the first encrypts (``PXBIN_ENCRYPTION_KEY``), all of them decrypt
(``PXBIN_ENCRYPTION_KEYS_OLD``), and ``manage.py rotate_encryption_key`` encrypts all stored credentials with the first. The key
id, a hash of the derived key, says which passphrase a ciphertext needs. Ciphertexts of Go pxbin have no version and no key id;
they are read by :meth:`Ring.decrypt_legacy` and never written.
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

VERSION = "v2"
NONCE_BYTES = 12
TAG_BYTES = 16
SALT = b"pxbin-encryption-key-v1"
MEMORY_KIB, PASSES, LANES, KEY_BYTES = 65536, 1, 4, 32
MIN_LEGACY_LENGTH = 40


class VaultError(Exception):
    """A text cannot be encrypted or decrypted. The message contains neither the text nor a passphrase."""


class WrongEncryptionKey(VaultError):  # noqa: N818  (named after the cause)
    """Stored credentials cannot be decrypted with the passphrases of the settings; ``problems`` has a sentence for each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("The stored credentials cannot be decrypted:\n" + "\n".join(f"- {problem}" for problem in problems))
        self.problems = problems


@functools.cache
def derive(passphrase: str) -> bytes:
    """The key of a passphrase, derived as Go pxbin does. Takes 64 MiB and about 0.1 s, therefore cached."""
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
        self._ciphers = {encryption_key_id(key): AESGCM(key) for key in keys}
        self.current_id = encryption_key_id(keys[0])

    def encrypt(self, text: str) -> str:
        """The ciphertext of ``text`` under the first passphrase."""
        nonce = os.urandom(NONCE_BYTES)
        sealed = self._ciphers[self.current_id].encrypt(nonce, text.encode(), _header(self.current_id))
        return f"{VERSION}:{self.current_id}:{base64.b64encode(nonce + sealed).decode()}"

    def decrypt(self, ciphertext: str) -> str:
        """The text of a ciphertext. Raises :class:`VaultError`."""
        version, _, rest = ciphertext.partition(":")
        key_id, _, encoded = rest.partition(":")
        if version != VERSION or not encoded:
            raise VaultError("not a ciphertext of this version")
        cipher = self._ciphers.get(key_id)
        if cipher is None:
            raise VaultError(f"encrypted with another key (id {key_id})")
        return _open(cipher, encoded, _header(key_id))

    def decrypt_legacy(self, ciphertext: str) -> str:
        """The text of a ciphertext of Go pxbin, tried with every passphrase. Raises :class:`VaultError`.

        Go pxbin stored some secrets in plain text: what is shorter than 40 characters or not base64 is returned as it is.
        """
        if not looks_encrypted(ciphertext):
            return ciphertext
        for cipher in self._ciphers.values():
            try:
                return _open(cipher, ciphertext, None)
            except VaultError:
                continue
        raise VaultError("encrypted with another key")

    def is_current(self, ciphertext: str) -> bool:
        """Whether a ciphertext is encrypted with the first passphrase."""
        return ciphertext.startswith(f"{VERSION}:{self.current_id}:")


def encryption_key_id(key: bytes) -> str:
    """Eight hexadecimal digits that identify a derived key."""
    return hashlib.sha256(b"pxbin key id" + key).hexdigest()[:8]


def looks_encrypted(text: str) -> bool:
    """Go pxbin's own test for its ciphertexts."""
    if len(text) < MIN_LEGACY_LENGTH:
        return False
    try:
        base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return False
    return True


def _header(key_id: str) -> bytes:
    """The associated data of the ciphertext: version and key id are authenticated, too."""
    return f"{VERSION}:{key_id}".encode()


def _open(cipher: AESGCM, encoded: str, header: bytes | None) -> str:
    try:
        sealed = base64.b64decode(encoded, validate=True)
        if len(sealed) < NONCE_BYTES + TAG_BYTES:
            raise VaultError("the ciphertext is damaged")
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], header).decode()
    except (InvalidTag, binascii.Error, ValueError):
        raise VaultError("the ciphertext is damaged, or was encrypted with another key") from None

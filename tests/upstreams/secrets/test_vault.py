import base64

import pytest

from upstreams.secrets import vault
from upstreams.secrets.vault import Ring, VaultError

FIRST, SECOND = "first passphrase", "second passphrase"


def test_a_text_is_decrypted_again_and_never_encrypted_to_the_same_ciphertext():
    ring = Ring([FIRST])
    ciphertexts = [ring.encrypt("sk-test-123") for _ in range(2)]
    assert ciphertexts[0] != ciphertexts[1]
    assert [ring.decrypt(text) for text in ciphertexts] == ["sk-test-123", "sk-test-123"]
    version, key_id, encoded = ciphertexts[0].split(":")
    assert (version, key_id, len(base64.b64decode(encoded))) == ("v2", ring.current_id, 12 + len("sk-test-123") + 16)


def test_the_key_is_derived_as_by_go_pxbin():
    assert vault.derive("0123456789abcdef").hex() == "ba95cad4667b456b2f5035ed9c238c064a4d49ceffd59c197bbabdcbd9fbb5cf"


def test_ciphertexts_of_go_pxbin_are_decrypted_with_any_passphrase_of_the_ring():
    ciphertext = "AAECAwQFBgcICQoL1LWHg6jgDVXqv7CbR2+g+J7Lo0iYjGp2d/E4"
    assert Ring(["0123456789abcdef"]).decrypt_legacy(ciphertext) == "sk-test-123"
    assert Ring([FIRST, "0123456789abcdef"]).decrypt_legacy(ciphertext) == "sk-test-123"
    with pytest.raises(VaultError, match=r"^encrypted with another key$"):
        Ring([FIRST]).decrypt_legacy(ciphertext)


@pytest.mark.parametrize("ciphertext", ["sk-short", "sk-proj-not-base64-because-of-the-dashes-in-this-text"])
def test_texts_that_go_pxbin_did_not_encrypt_are_returned_unchanged(ciphertext):
    assert Ring([FIRST]).decrypt_legacy(ciphertext) == ciphertext


def test_the_first_passphrase_encrypts_and_all_decrypt():
    old = Ring([FIRST])
    ring = Ring([SECOND, FIRST])
    ciphertext = old.encrypt("sk-test-123")
    assert ring.decrypt(ciphertext) == "sk-test-123"
    assert (ring.is_current(ciphertext), ring.is_current(ring.encrypt("x"))) == (False, True)
    with pytest.raises(VaultError, match=f"^encrypted with another key \\(id {ring.current_id}\\)$"):
        old.decrypt(ring.encrypt("sk-test-123"))


def test_a_damaged_ciphertext_is_refused():
    ring = Ring([FIRST])
    version, key_id, encoded = ring.encrypt("sk-test-123").split(":")
    sealed = bytearray(base64.b64decode(encoded))
    sealed[20] ^= 1
    damaged = [
        "",
        "sk-test-123",
        encoded,
        f"v1:{key_id}:{encoded}",
        f"{version}:{key_id}:",
        f"{version}:{key_id}:not base64",
        f"{version}:{key_id}:{encoded[:20]}",
        f"{version}:{key_id}:{base64.b64encode(sealed).decode()}",
    ]
    for text in damaged:
        with pytest.raises(VaultError):
            ring.decrypt(text)


def test_a_ring_without_a_passphrase_is_refused():
    for passphrases in ([], [""], [FIRST, ""]):
        with pytest.raises(VaultError):
            Ring(passphrases)


def test_a_key_is_derived_once():
    vault.derive.cache_clear()
    for _ in range(3):
        Ring([FIRST])
    assert vault.derive.cache_info().misses == 1

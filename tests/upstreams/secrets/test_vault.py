import base64

import pytest

from tests.support.settings import with_encryption
from upstreams.models import Upstream, UpstreamCredential
from upstreams.secrets import store, vault
from upstreams.secrets.vault import Ring, VaultError, WrongEncryptionKey

FIRST, SECOND = "first passphrase", "second passphrase"


def test_what_is_encrypted_can_be_decrypted_and_is_never_twice_the_same():
    ring = Ring([FIRST])
    stored = [ring.encrypt("sk-test-123") for _ in range(2)]
    assert stored[0] != stored[1]
    assert [ring.decrypt(text) for text in stored] == ["sk-test-123", "sk-test-123"]
    version, known_id, encoded = stored[0].split(":")
    assert (version, known_id, len(base64.b64decode(encoded))) == ("v2", ring.current, 12 + len("sk-test-123") + 16)


def test_the_key_is_derived_as_go_pxbin_derives_it():
    assert vault.derive("0123456789abcdef").hex() == "ba95cad4667b456b2f5035ed9c238c064a4d49ceffd59c197bbabdcbd9fbb5cf"


def test_texts_of_go_pxbin_open_with_their_passphrase():
    stored = "AAECAwQFBgcICQoL1LWHg6jgDVXqv7CbR2+g+J7Lo0iYjGp2d/E4"
    assert Ring(["0123456789abcdef"]).decrypt_legacy(stored) == "sk-test-123"
    assert Ring([FIRST, "0123456789abcdef"]).decrypt_legacy(stored) == "sk-test-123"
    with pytest.raises(VaultError, match=r"^encrypted with another key$"):
        Ring([FIRST]).decrypt_legacy(stored)


@pytest.mark.parametrize("stored", ["sk-short", "sk-proj-not-base64-because-of-the-dashes-in-this-text"])
def test_texts_that_go_pxbin_never_encrypted_are_plain(stored):
    assert Ring([FIRST]).decrypt_legacy(stored) == stored


def test_the_newest_passphrase_encrypts_and_all_decrypt():
    old = Ring([FIRST])
    ring = Ring([SECOND, FIRST])
    stored = old.encrypt("sk-test-123")
    assert ring.decrypt(stored) == "sk-test-123"
    assert (ring.is_current(stored), ring.is_current(ring.encrypt("x"))) == (False, True)
    with pytest.raises(VaultError, match=f"^encrypted with another key \\(id {ring.current}\\)$"):
        old.decrypt(ring.encrypt("sk-test-123"))


def test_a_damaged_text_gives_nothing():
    ring = Ring([FIRST])
    version, known_id, encoded = ring.encrypt("sk-test-123").split(":")
    sealed = bytearray(base64.b64decode(encoded))
    sealed[20] ^= 1
    damaged = [
        "",
        "sk-test-123",
        encoded,
        f"v1:{known_id}:{encoded}",
        f"{version}:{known_id}:",
        f"{version}:{known_id}:not base64",
        f"{version}:{known_id}:{encoded[:20]}",
        f"{version}:{known_id}:{base64.b64encode(sealed).decode()}",
    ]
    for text in damaged:
        with pytest.raises(VaultError):
            ring.decrypt(text)


def test_a_ring_without_a_passphrase_is_refused():
    for passphrases in ([], [""], [FIRST, ""]):
        with pytest.raises(VaultError):
            Ring(passphrases)


def test_a_key_is_derived_once_in_a_process():
    vault.derive.cache_clear()
    for _ in range(3):
        Ring([FIRST])
    assert vault.derive.cache_info().misses == 1


def add_credentials(*names):
    upstream = Upstream.objects.create(name="provider", base_url="http://127.0.0.1:1")
    for name in names:
        credential = UpstreamCredential(upstream=upstream, name=name)
        store.set_secret(credential, f" sk-{name}\n")
        credential.save()


@pytest.mark.django_db
def test_a_wrong_key_refuses_to_start_and_names_every_credential_it_cannot_open():
    with with_encryption(FIRST):
        add_credentials("one", "two")
        store.check_credentials()
        known_id = store.ring().current_id
    with with_encryption(SECOND), pytest.raises(WrongEncryptionKey) as caught:
        store.check_credentials()
    assert caught.value.problems == [
        f"credential one of upstream provider: encrypted with another key (id {known_id})",
        f"credential two of upstream provider: encrypted with another key (id {known_id})",
    ]


@pytest.mark.django_db
def test_rotation_brings_every_credential_to_the_newest_key():
    with with_encryption(FIRST):
        add_credentials("one", "two")
    with with_encryption(SECOND, FIRST):
        assert [store.rotate(), store.rotate()] == [2, 0]
    with with_encryption(SECOND):
        store.check_credentials()
        stored = UpstreamCredential.objects.order_by("name").values_list("secret_encrypted", flat=True)
        assert [store.decrypt(text) for text in stored] == ["sk-one", "sk-two"]


@pytest.mark.django_db
def test_rotation_changes_nothing_when_one_credential_cannot_be_opened():
    with with_encryption(FIRST):
        add_credentials("one")
    with with_encryption("third passphrase"):
        UpstreamCredential.objects.create(upstream=Upstream.objects.get(), name="two", secret_encrypted=store.encrypt("sk-two"))
    before = list(UpstreamCredential.objects.values_list("pk", "secret_encrypted"))
    with with_encryption(SECOND, FIRST), pytest.raises(WrongEncryptionKey):
        store.rotate()
    assert list(UpstreamCredential.objects.values_list("pk", "secret_encrypted")) == before


@pytest.mark.django_db
def test_the_audit_trail_holds_no_secret():
    add_credentials("one")
    history = UpstreamCredential.history.get()
    assert not hasattr(history, "secret_encrypted")

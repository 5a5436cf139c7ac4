import pytest

from tests.support.settings import with_encryption
from upstreams.models import Upstream, UpstreamCredential
from upstreams.secrets import store
from upstreams.secrets.vault import WrongEncryptionKey

FIRST, SECOND = "first passphrase", "second passphrase"

pytestmark = pytest.mark.django_db


def add_credentials(*names):
    upstream = Upstream.objects.create(name="provider", base_url="http://127.0.0.1:1")
    for name in names:
        credential = UpstreamCredential(upstream=upstream, name=name)
        store.set_secret(credential, f" sk-{name}\n")
        credential.save()


def test_a_check_with_the_wrong_passphrase_names_every_credential_that_cannot_be_decrypted():
    with with_encryption(FIRST):
        add_credentials("one", "two")
        store.check_credentials()
        key_id = store.ring().current_id
    with with_encryption(SECOND), pytest.raises(WrongEncryptionKey) as caught:
        store.check_credentials()
    assert caught.value.problems == [
        f"credential one of upstream provider: encrypted with another key (id {key_id})",
        f"credential two of upstream provider: encrypted with another key (id {key_id})",
    ]


def test_rotation_encrypts_every_credential_with_the_first_passphrase():
    with with_encryption(FIRST):
        add_credentials("one", "two")
    with with_encryption(SECOND, FIRST):
        assert [store.rotate(), store.rotate()] == [2, 0]
    with with_encryption(SECOND):
        store.check_credentials()
        stored = UpstreamCredential.objects.order_by("name").values_list("secret_encrypted", flat=True)
        assert [store.decrypt(text) for text in stored] == ["sk-one", "sk-two"]


def test_rotation_changes_nothing_if_one_credential_cannot_be_decrypted():
    with with_encryption(FIRST):
        add_credentials("one")
    with with_encryption("third passphrase"):
        UpstreamCredential.objects.create(upstream=Upstream.objects.get(), name="two", secret_encrypted=store.encrypt("sk-two"))
    before = list(UpstreamCredential.objects.values_list("pk", "secret_encrypted"))
    with with_encryption(SECOND, FIRST), pytest.raises(WrongEncryptionKey):
        store.rotate()
    assert list(UpstreamCredential.objects.values_list("pk", "secret_encrypted")) == before


def test_the_history_contains_no_secret():
    add_credentials("one")
    history = UpstreamCredential.history.get()
    assert not hasattr(history, "secret_encrypted")

from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.support.settings import with_encryption
from upstreams.admin import status
from upstreams.models import Upstream, UpstreamCredential
from upstreams.routing import live_state
from upstreams.secrets import store

pytestmark = pytest.mark.django_db

FIRST, SECOND = "first passphrase", "second passphrase"


def rotated(*options):
    out = StringIO()
    call_command("rotate_encryption_key", *options, stdout=out)
    return out.getvalue()


def stored(name, secret, upstream):
    credential = UpstreamCredential(upstream=upstream, name=name)
    store.set_secret(credential, secret)
    credential.save()
    return credential


def test_the_command_rotates_and_counts():
    upstream = Upstream.objects.create(name="u", base_url="http://x")
    with with_encryption(FIRST):
        credential = stored("", "sk-1", upstream)
    with with_encryption(SECOND), pytest.raises(CommandError, match="The stored credentials cannot be decrypted"):
        rotated()
    with with_encryption(SECOND, FIRST):
        assert rotated() == f"1 credentials encrypted anew; all are under key {store.ring().current_id}.\n"
    with with_encryption(SECOND):
        credential.refresh_from_db()
        assert store.decrypt(credential.secret_encrypted) == "sk-1"


def test_keys_that_nobody_can_decrypt_are_removed_once_somebody_has_agreed(monkeypatch):
    upstream = Upstream.objects.create(name="u", base_url="http://x")
    with with_encryption(FIRST):
        lost = stored("lost", "sk-1", upstream)
    asked = []
    with with_encryption(SECOND):
        kept = stored("kept", "sk-2", upstream)
        for answer in ("", "n"):
            monkeypatch.setattr("builtins.input", lambda question, answer=answer: asked.append(question) or answer)
            with pytest.raises(CommandError, match="Nothing was changed"):
                rotated("--forget")
        assert store.undecryptable().keys() == {lost.secret_encrypted}
        monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or "y")
        said = rotated("--forget").splitlines()
        assert said[0].startswith("credential lost of upstream u: encrypted with another key")
        assert said[1:] == ["1 keys removed; their credentials are disabled until a new key is entered."]
        assert asked == ["Remove these keys for good? [y/N] "] * 3
        store.check_credentials()
        lost.refresh_from_db()
        assert (lost.secret_encrypted, lost.disabled_reason) == ("", store.SECRET_REMOVED)
        assert status.of_key(lost, live_state.current()).detail == store.SECRET_REMOVED
        kept.refresh_from_db()
        assert (store.decrypt(kept.secret_encrypted), kept.disabled_reason) == ("sk-2", "")


def test_where_nobody_can_be_asked_nothing_is_removed_without_yes(monkeypatch):
    with with_encryption(FIRST):
        lost = stored("lost", "sk-1", Upstream.objects.create(name="u", base_url="http://x"))
    monkeypatch.setattr("sys.stdin", StringIO())
    with with_encryption(SECOND):
        with pytest.raises(CommandError, match="Nothing was changed"):
            rotated("--forget")
        rotated("--forget", "--yes")
        lost.refresh_from_db()
        assert lost.secret_encrypted == ""

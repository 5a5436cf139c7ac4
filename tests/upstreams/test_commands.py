from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from tests.support.fake_upstream import json_reply
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


def test_rotation_encrypts_and_counts():
    upstream = Upstream.objects.create(name="u", base_url="http://x")
    with with_encryption(FIRST):
        credential = stored("", "sk-1", upstream)
    with with_encryption(SECOND), pytest.raises(CommandError, match="The stored credentials cannot be decrypted"):
        rotated()
    with with_encryption(SECOND, FIRST):
        assert rotated() == f"1 credentials encrypted again; all use the encryption key {store.ring().current_id}.\n"
    with with_encryption(SECOND):
        credential.refresh_from_db()
        assert store.decrypt(credential.secret_encrypted) == "sk-1"


def test_credentials_that_cannot_be_decrypted_are_removed_after_confirmation(monkeypatch):
    upstream = Upstream.objects.create(name="u", base_url="http://x")
    with with_encryption(FIRST):
        lost = stored("lost", "sk-1", upstream)
    questions = []
    with with_encryption(SECOND):
        readable = stored("kept", "sk-2", upstream)
        for answer in ("", "n"):
            monkeypatch.setattr("builtins.input", lambda question, answer=answer: questions.append(question) or answer)
            with pytest.raises(CommandError, match="Nothing was changed"):
                rotated("--forget")
        assert store.undecryptable().keys() == {lost.secret_encrypted}
        monkeypatch.setattr("builtins.input", lambda question: questions.append(question) or "y")
        lines = rotated("--forget").splitlines()
        assert lines[0].startswith("credential lost of upstream u: encrypted with another key")
        assert lines[1:] == ["1 secrets removed; their credentials are disabled until a new secret is entered."]
        assert questions == ["Remove these credentials? They cannot be restored. [y/N] "] * 3
        store.check_credentials()
        lost.refresh_from_db()
        assert (lost.secret_encrypted, lost.disabled_reason) == ("", store.SECRET_REMOVED)
        assert status.credential_status(lost, live_state.current()).detail == store.SECRET_REMOVED
        readable.refresh_from_db()
        assert (store.decrypt(readable.secret_encrypted), readable.disabled_reason) == ("sk-2", "")


def test_without_a_terminal_nothing_is_removed_without_yes(monkeypatch):
    with with_encryption(FIRST):
        lost = stored("lost", "sk-1", Upstream.objects.create(name="u", base_url="http://x"))
    monkeypatch.setattr("sys.stdin", StringIO())
    with with_encryption(SECOND):
        with pytest.raises(CommandError, match="Nothing was changed"):
            rotated("--forget")
        rotated("--forget", "--yes")
        lost.refresh_from_db()
        assert lost.secret_encrypted == ""


@pytest.fixture
def provider(upstream):
    return Upstream.objects.create(name="provider", base_url=upstream.url)


def test_named_upstreams_are_discovered(upstream, provider):
    upstream.otherwise(json_reply({"data": [{"id": "a"}]}))
    out = StringIO()
    call_command("discover_models", "provider", stdout=out)
    assert out.getvalue() == "provider: 1 new, 0 vanished, 0 returned\n"
    with pytest.raises(CommandError, match="There is no active upstream nobody"):
        call_command("discover_models", "nobody")


def test_discovery_fails_at_the_end_if_an_upstream_failed(upstream, second_upstream, provider):
    Upstream.objects.create(name="a failing one", base_url=second_upstream.url)
    upstream.otherwise(json_reply({"data": [{"id": "a"}]}))
    out, err = StringIO(), StringIO()
    with pytest.raises(CommandError, match="No models from a failing one"):
        call_command("discover_models", stdout=out, stderr=err)
    assert out.getvalue() == "provider: 1 new, 0 vanished, 0 returned\n"
    assert err.getvalue().startswith("a failing one: ")

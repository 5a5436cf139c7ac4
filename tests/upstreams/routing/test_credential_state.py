import pytest
from django.db import InterfaceError

from accounts.models import RevisedQuerySet
from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.models import Upstream, UpstreamCredential
from upstreams.routing import credential_state, live_state
from upstreams.secrets import store

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pair():
    """Two stored credentials, and their upstream as requests see it."""
    row = Upstream.objects.create(name="u", base_url="http://x")
    credentials = []
    for name in ("first", "second"):
        credential = UpstreamCredential(upstream=row, name=name)
        store.set_secret(credential, f"sk-{name}")
        credential.save()
        credentials.append(credential)
    entries = tuple(CredentialEntry(id=str(credential.pk), name=credential.name) for credential in credentials)
    yield credentials, UpstreamEntry(id=str(row.pk), name="u", base_url="http://x", dialect="openai_chat", credentials=entries)
    for entry in entries:
        credential_state.forget_refusal(entry.id)


def test_a_refused_credential_is_disabled_at_once_and_in_the_database(pair):
    (first, _), upstream = pair
    assert credential_state.disable(upstream, upstream.credentials[0], "no such key")
    assert credential_state.was_refused(str(first.pk))
    credential_state.flush()
    first.refresh_from_db()
    assert (first.disabled_reason, credential_state.was_refused(str(first.pk))) == ("no such key", True)


def test_the_last_enabled_credential_is_not_disabled(pair):
    (_, second), upstream = pair
    assert credential_state.disable(upstream, upstream.credentials[0], "no such key")
    assert not credential_state.disable(upstream, upstream.credentials[1], "no such key")
    credential_state.flush()
    second.refresh_from_db()
    assert (second.disabled_reason, credential_state.was_refused(str(second.pk))) == ("", False)


def test_an_enabled_credential_is_neither_disabled_nor_cooling_anywhere(pair):
    (first, _), upstream = pair
    credential_state.disable(upstream, upstream.credentials[0], "no such key")
    until = live_state.current().start_cooldown(f"key:{first.pk}", 60)
    credential_state.store_credential_cooldown(str(first.pk), until)
    credential_state.flush()
    first.refresh_from_db()
    assert first.cooling_until is not None
    credential_state.enable(str(first.pk), upstream.id)
    first.refresh_from_db()
    assert (first.disabled_reason, first.cooling_until) == ("", None)
    assert (credential_state.was_refused(str(first.pk)), live_state.current().cooldowns.credential_until(str(first.pk))) == (False, 0)


def test_the_time_of_use_is_stored_for_used_credentials(pair):
    (first, second), _ = pair
    credential_state.credentials_used.note(str(first.pk))
    credential_state.credentials_used.write()
    for credential in (first, second):
        credential.refresh_from_db()
    assert [credential.last_used_at is not None for credential in (first, second)] == [True, False]


def test_values_that_the_database_does_not_take_are_logged(pair, monkeypatch, caplog):
    (first, _), _ = pair

    def fail(*_args, **_values):
        raise InterfaceError("the connection is closed")

    with monkeypatch.context() as broken:
        broken.setattr(RevisedQuerySet, "update", fail)
        credential_state.store_credential_cooldown(str(first.pk), 2_000_000_000.0)
        credential_state.flush()
    assert f"the cooldown of credential {first.pk} could not be written" in caplog.text

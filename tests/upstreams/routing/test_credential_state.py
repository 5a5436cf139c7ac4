import pytest
from django.db import InterfaceError

from accounts.models import RevisedQuerySet
from upstreams.catalog.entries import CredentialEntry, UpstreamEntry
from upstreams.http import auth_headers
from upstreams.models import Upstream, UpstreamCredential
from upstreams.routing import credential_state, live_state

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def pair():
    """Two stored keys, and their upstream as requests see it."""
    row = Upstream.objects.create(name="u", base_url="http://x")
    keys = []
    for name in ("first", "second"):
        key = UpstreamCredential(upstream=row, name=name)
        auth_headers.set_secret(key, f"sk-{name}")
        key.save()
        keys.append(key)
    entries = tuple(CredentialEntry(id=str(key.pk), name=key.name) for key in keys)
    yield keys, UpstreamEntry(id=str(row.pk), name="u", base_url="http://x", dialect="openai_chat", credentials=entries)
    for entry in entries:
        credential_state.forget(entry.id)


def test_a_refused_key_is_out_at_once_and_written_down(pair):
    (first, _), upstream = pair
    assert credential_state.disable(upstream, upstream.credentials[0], "no such key")
    assert credential_state.is_refused(str(first.pk))
    credential_state.settle()
    first.refresh_from_db()
    assert (first.disabled_reason, credential_state.is_refused(str(first.pk))) == ("no such key", True)


def test_the_last_key_stays(pair):
    (_, second), upstream = pair
    assert credential_state.disable(upstream, upstream.credentials[0], "no such key")
    assert not credential_state.disable(upstream, upstream.credentials[1], "no such key")
    credential_state.settle()
    second.refresh_from_db()
    assert (second.disabled_reason, credential_state.is_refused(str(second.pk))) == ("", False)


def test_a_key_that_is_brought_back_is_in_and_rested_everywhere(pair):
    (first, _), upstream = pair
    credential_state.disable(upstream, upstream.credentials[0], "no such key")
    credential_state.note_cooling(str(first.pk), live_state.current().cool(f"key:{first.pk}", 60))
    credential_state.settle()
    first.refresh_from_db()
    assert first.cooling_until is not None
    credential_state.bring_back(str(first.pk), upstream.id)
    first.refresh_from_db()
    assert (first.disabled_reason, first.cooling_until) == ("", None)
    assert (credential_state.is_refused(str(first.pk)), live_state.current().cooldowns.key_until(str(first.pk))) == (False, 0)


def test_when_a_key_was_used_is_written_down(pair):
    (first, second), _ = pair
    auth_headers.used.note(str(first.pk))
    auth_headers.used.write()
    for key in (first, second):
        key.refresh_from_db()
    assert [key.last_used_at is not None for key in (first, second)] == [True, False]


def test_what_the_database_does_not_take_is_said_in_the_log(pair, monkeypatch, caplog):
    (first, _), _ = pair

    def away(*_args, **_values):
        raise InterfaceError("the connection is closed")

    with monkeypatch.context() as broken:
        broken.setattr(RevisedQuerySet, "update", away)
        credential_state.note_cooling(str(first.pk), 2_000_000_000.0)
        credential_state.settle()
    assert f"the cooldown of key {first.pk} could not be written down" in caplog.text

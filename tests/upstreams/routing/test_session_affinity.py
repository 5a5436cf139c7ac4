import pytest

from upstreams.routing import session_affinity
from upstreams.routing.session_affinity import AFFINITY_SECONDS, Sessions


@pytest.fixture
def sessions(clock):
    return Sessions(clock)


def test_a_session_keeps_its_credential_until_it_expires(sessions, clock):
    for _ in range(2):
        sessions.pin("s", "c")
        clock.now += AFFINITY_SECONDS
        assert sessions.credential_of("s") == "c"
    clock.now += 1
    assert sessions.credential_of("s") is None


def test_parallel_first_requests_follow_the_first_one(sessions):
    sessions.reserve("s", "c1")
    sessions.reserve("s", "c2")
    assert sessions.credential_of("s") == "c1"
    sessions.pin("s", "c2")
    assert sessions.credential_of("s") == "c2"


def test_other_processes_are_informed_of_a_new_credential_and_again_before_they_forget_it(sessions, clock):
    assert [sessions.pin("s", credential) for credential in ("c1", "c1", "c2", "c2")] == [True, False, True, False]
    clock.now += AFFINITY_SECONDS / 2 + 1
    assert [sessions.pin("s", "c2") for _ in range(2)] == [True, False]


def test_the_least_recently_used_sessions_are_removed(sessions, monkeypatch):
    monkeypatch.setattr(session_affinity, "MAX_SESSIONS", 2)
    for session in ("a", "b", "a", "c"):
        sessions.pin(session, "credential")
    assert sessions.active() == [("a", "credential"), ("c", "credential")]

"""Queues of password hashes."""

import threading

import pytest
from django.contrib.auth.hashers import check_password, identify_hasher, make_password
from django.test import override_settings

from pxbin_site.login import hashing
from pxbin_site.login.hashing import BusyError, HashQueue
from tests.support.waiting import eventually

HASHERS = ["pxbin_site.login.hashing.Argon2Hasher", "pxbin_site.login.hashing.PBKDF2Hasher"]


@pytest.fixture
def queue(monkeypatch):
    """A queue that refuses everybody while its one slot is taken."""
    narrow = HashQueue(waiting=0, patience=60)
    with hashing.using(narrow):
        yield narrow


def test_one_caller_at_a_time_computes_a_hash_and_the_others_wait():
    queue, inside, most = HashQueue(waiting=7, patience=60), [], []

    def compute():
        with queue.slot():
            inside.append(1)
            most.append(len(inside))
            inside.pop()

    threads = [threading.Thread(target=compute) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1] * 8


def test_who_finds_the_queue_full_is_refused_at_once():
    queue, release, refused = HashQueue(waiting=1, patience=60), threading.Event(), []

    def compute():
        with queue.slot():
            release.wait(60)

    threads = [threading.Thread(target=compute) for _ in range(2)]
    for thread in threads:
        thread.start()
    eventually(lambda: queue.is_full)
    for _ in range(50):
        with pytest.raises(BusyError), queue.slot():
            refused.append("got in")
    release.set()
    for thread in threads:
        thread.join()
    assert (refused, queue.is_full) == ([], False)


def test_who_waits_too_long_is_refused():
    queue = HashQueue(waiting=1, patience=0.01)
    with queue.slot(), pytest.raises(BusyError), queue.slot():
        pass
    with queue.slot():
        assert not queue.is_full


def test_the_hash_queue_pauses_after_a_hash_in_proportion_to_its_time(monkeypatch):
    clock, rests = [100.0], []
    monkeypatch.setattr(hashing.time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(hashing.time, "sleep", rests.append)
    queue = HashQueue(waiting=0, patience=60, rest=4.0)
    for seconds in (0.03125, 2.0, 0.0):
        with queue.slot():
            clock[0] += seconds
    assert rests == [0.0, 0.125, hashing.LONGEST_REST]


def test_an_error_inside_frees_the_slot():
    queue = HashQueue(waiting=0, patience=60)
    with pytest.raises(KeyError), queue.slot():
        raise KeyError
    with queue.slot():
        pass


@override_settings(PASSWORD_HASHERS=HASHERS)
@pytest.mark.parametrize("algorithm", ["argon2", "pbkdf2_sha256"])
def test_every_password_check_uses_the_hash_queue(queue, algorithm):
    encoded = make_password("right", hasher=algorithm)
    assert check_password("right", encoded, preferred=algorithm)
    assert not check_password("wrong", encoded, preferred=algorithm)
    with queue.slot():
        with pytest.raises(BusyError):
            make_password("right", hasher=algorithm)
        with pytest.raises(BusyError):
            check_password("right", encoded)


@override_settings(PASSWORD_HASHERS=HASHERS)
def test_a_hash_takes_19_mib_and_one_thread():
    encoded = make_password("right")
    summary = identify_hasher(encoded).safe_summary(encoded)
    assert [summary[name] for name in ("variety", "memory cost", "time cost", "parallelism")] == ["argon2id", 19 * 1024, 2, 1]


@override_settings(PASSWORD_HASHERS=HASHERS)
def test_a_hash_of_djangos_own_cost_is_replaced_when_its_user_logs_in():
    with override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.Argon2PasswordHasher"]):
        encoded = make_password("right")
    replaced = []
    assert (check_password("right", encoded, replaced.append), replaced) == (True, ["right"])

"""Counters of wrong passwords."""

import pytest

from pxbin_site.login.counters import OwnCounters, SharedCounters
from tests.support.ports import free_port


def counted(counters):
    """What a wrong password does, three times, and then a right one."""
    added = counters.add("key", 1, 60)
    values = [counters.incr("key"), counters.incr("key")]
    counters.touch("key", 60)
    before = counters.get("key", 0)
    counters.delete("key")
    return added, values, before, counters.get("key", 0), counters.incr("expired-meanwhile")


EXPECTED = (True, [2, 3], 3, 0, 1)


def test_in_memory():
    assert counted(OwnCounters("test-in-memory", {"OPTIONS": {"MAX_ENTRIES": 10}})) == EXPECTED


@pytest.mark.slow
def test_in_redis(redis_url):
    counters, of_another_process = (SharedCounters(redis_url, {"KEY_PREFIX": "test-counters"}) for _ in range(2))
    assert counted(counters) == EXPECTED
    counters.add("shared", 4, 60)
    assert of_another_process.incr("shared") == 5
    counters.delete_many(["shared", "expired-meanwhile"])


def test_in_memory_while_redis_does_not_answer():
    counters = SharedCounters(f"redis://127.0.0.1:{free_port()}/0", {"OPTIONS": {"socket_connect_timeout": 1}})
    assert counted(counters) == EXPECTED

"""The bounds of all request bodies of a process together."""

import pytest

from pxbin_site.server.http1.body_memory import RETRY_SECONDS, BodyMemory, Share
from pxbin_site.server.http1.head import RefusedError


def used(memory: BodyMemory) -> tuple[int, int]:
    return memory.used, memory.keyless_used


def test_bodies_share_one_bound_and_those_without_a_key_a_smaller_one() -> None:
    memory = BodyMemory(100, 40)
    with_key, first, second = Share(memory, is_keyless=False), Share(memory, is_keyless=True), Share(memory, is_keyless=True)
    with_key.resize(50)
    first.resize(30)
    with pytest.raises(RefusedError) as caught:
        second.resize(11)
    assert (caught.value.status, caught.value.message) == (503, "Too many request bodies without a key at once")
    assert caught.value.retry_after == RETRY_SECONDS
    assert not second.try_resize(11)
    assert second.try_resize(10)
    assert used(memory) == (90, 40)
    with pytest.raises(RefusedError, match="Too many request bodies at once"):
        with_key.resize(61)
    for share in (with_key, first, second):
        share.close()
    assert used(memory) == (0, 0)


def test_a_complete_body_leaves_the_share_of_those_without_a_key_and_stays_counted() -> None:
    memory = BodyMemory(100, 40)
    share = Share(memory, is_keyless=True)
    share.resize(40)
    share.complete(35)
    assert used(memory) == (35, 0)
    share.close()
    share.close()
    assert used(memory) == (0, 0)

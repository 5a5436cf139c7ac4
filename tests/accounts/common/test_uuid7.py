"""Ids sort by time."""

import os
import time
import uuid

from accounts.common.uuid7 import new_id


def test_an_id_is_a_uuid_of_version_7_with_dashes():
    new = uuid.UUID(new_id())
    assert (new.version, new.variant) == (7, uuid.RFC_4122)
    assert str(new) == str(uuid.UUID(str(new)))


def test_ids_are_unique_and_sort_by_their_millisecond():
    ids = []
    for _ in range(20):
        ids.append(new_id())
        time.sleep(0.002)
    assert ids == sorted(set(ids))
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_an_id_says_when_it_was_made():
    before = time.time()
    assert before - 0.001 <= (uuid.UUID(new_id()).int >> 80) / 1000 <= time.time()


def test_a_forked_process_makes_other_ids_than_its_parent():
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.write(writer, "".join(new_id()[14:] for _ in range(100)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    os.close(writer)
    with os.fdopen(reader) as written:
        of_child = written.read()
    assert len(of_child) == 100 * 22
    assert all(new_id()[14:] not in of_child for _ in range(200))

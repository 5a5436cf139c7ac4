"""Captured bodies: a side file of the segment, stored when the segment is written, once."""

import os
import time

import pytest

from billing.models import RequestLog, RequestPayload
from billing.request_log import payload_files, writer
from billing.request_log.entry import PayloadEntry
from billing.request_log.journal import Journal
from tests.billing.conftest import entry

pytestmark = pytest.mark.usefixtures("database")
BODIES = {"client_body": "a", "sent_body": "b", "upstream_answer": "c", "delivered_answer": "d", "truncated": True}


def journal(spool) -> Journal:
    return Journal(spool, schedule=lambda seconds, work: None)


def files(spool) -> list[str]:
    return sorted(path.suffix for path in spool.iterdir() if path.suffix != ".lock")


def test_bodies_are_beside_the_segment_and_become_rows_with_it(spool):
    with_bodies, without = entry(), entry()
    lines = journal(spool)
    lines.append(with_bodies, payload=PayloadEntry(**BODIES))
    lines.append(without)
    lines.close()
    assert files(spool) == [".bodies", ".sealed"]
    (segment,) = spool.glob("*.sealed")
    assert b'"payload"' not in segment.read_bytes()
    assert writer.drain_spool(spool) == 2
    assert list(RequestPayload.objects.values(*BODIES)) == [BODIES]
    row = RequestPayload.objects.select_related("log").get()
    assert (str(row.log_id), row.timestamp) == (with_bodies.id, row.log.timestamp)
    assert files(spool) == []


def test_bodies_are_stored_after_a_kill_between_rows_and_bodies(spool, monkeypatch):
    lines = journal(spool)
    lines.append(entry(), payload=PayloadEntry(**BODIES))
    lines.close()

    def killed(path):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(payload_files, "store", killed)
        with pytest.raises(KeyboardInterrupt):
            writer.drain_spool(spool)
    assert (RequestLog.objects.count(), RequestPayload.objects.count()) == (1, 0)
    writer.drain_spool(spool)
    assert (RequestLog.objects.count(), RequestPayload.objects.count()) == (1, 1)


def test_storing_bodies_twice_makes_one_row(spool):
    lines = journal(spool)
    lines.append(entry(), payload=PayloadEntry(**BODIES))
    lines.close()
    (segment,) = spool.glob("*.sealed")
    content = segment.with_suffix(payload_files.BODIES).read_bytes()
    assert payload_files.store(segment) == 1
    segment.with_suffix(payload_files.BODIES).write_bytes(content + b"half a li")
    assert payload_files.store(segment) == 1
    assert RequestPayload.objects.count() == 1


def test_each_segment_has_a_side_file_of_its_own(spool):
    lines = journal(spool)
    for _ in range(2):
        lines.append(entry(), payload=PayloadEntry(**BODIES))
        lines.seal()
    assert files(spool) == [".bodies", ".bodies", ".sealed", ".sealed"]
    writer.drain_spool(spool)
    assert RequestPayload.objects.count() == 2


def test_without_a_spool_the_row_waits_and_the_bodies_are_left_out(spool, caplog):
    spool.parent.mkdir(exist_ok=True)
    spool.write_text("a file in its place")
    lines = journal(spool)
    lines.append(entry(), payload=PayloadEntry(**BODIES))
    assert (lines.counters.waiting, "cannot be stored" in caplog.text) == (1, True)


def test_side_files_without_a_segment_are_removed_in_time(spool):
    spool.mkdir()
    old, new = spool / f"{'0' * 32}.bodies", spool / f"{'1' * 32}.bodies"
    kept = spool / f"{'2' * 32}.bodies"
    for path in (old, new, kept, kept.with_suffix(".live")):
        path.write_bytes(b"")
    for path in (old, kept):
        os.utime(path, (1, 1))
    payload_files.remove_abandoned(spool, older_than=time.time() - 3600)
    assert [path.exists() for path in (old, new, kept)] == [False, True, True]

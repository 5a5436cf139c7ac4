"""The journal keeps every entry, whatever the disk does."""

import logging
import os

import msgspec
import pytest

from billing.request_log import journal
from billing.request_log.entry import LogEntry
from billing.request_log.journal import Journal
from billing.request_log.spool import Spool
from tests.billing.conftest import entry


@pytest.fixture
def kept(spool, timers) -> Journal:
    journal_ = Journal(spool, schedule=timers)
    yield journal_
    journal_.close()


def lines(spool) -> list[list[LogEntry]]:
    """The entries of the complete segments."""
    reader = Spool(spool)
    return [[msgspec.json.decode(line, type=LogEntry) for line in reader.read(path).lines] for path in reader.sealed()]


def test_an_entry_is_in_the_file_when_append_returns(kept, spool):
    one = entry(error_message='line\nbreak and "quotes"', request_metadata={"a": [1, None]})
    kept.append(one)
    (path,) = spool.glob("*.live")
    assert msgspec.json.decode(path.read_bytes(), type=LogEntry) == one


def test_a_segment_is_sealed_a_quarter_of_a_second_after_its_first_entry(kept, spool, timers):
    one, other = entry(), entry()
    kept.append(one)
    kept.append(other)
    assert lines(spool) == []
    assert timers.run() == [0.25]
    assert lines(spool) == [[one, other]]


def test_an_idle_journal_has_no_timer_and_no_segment(kept, spool, timers):
    assert (timers.due, spool.exists()) == ([], False)
    kept.append(entry())
    timers.run()
    assert (timers.due, [path.suffix for path in spool.iterdir()]) == ([], [".sealed"])


def test_a_segment_is_sealed_after_500_entries(kept, spool):
    entries = [entry() for _ in range(501)]
    for each in entries:
        kept.append(each)
    assert lines(spool) == [entries[:500]]
    kept.close()
    assert sorted(len(found) for found in lines(spool)) == [1, 500]


def test_the_timer_of_a_full_segment_does_not_seal_the_next_one(kept, spool, timers):
    for _ in range(501):
        kept.append(entry())
    first, second = timers.due
    first[1]()
    assert len(list(spool.glob("*.live"))) == 1
    second[1]()
    assert len(list(spool.glob("*.live"))) == 0


def test_a_live_segment_is_locked_and_a_dead_one_is_adopted(kept, spool):
    kept.append(entry())
    assert Spool(spool).adopt() == 0
    os.close(kept._file)  # what the end of a process does
    kept._file = None
    assert Spool(spool).adopt() == 1
    assert len(lines(spool)) == 1


def test_a_torn_last_line_is_dropped_and_the_others_stay(spool, caplog):
    spool.mkdir()
    one = entry()
    whole = msgspec.json.encode(one) + b"\n"
    (spool / f"{'a' * 32}.sealed").write_bytes(whole + whole[:40])
    assert lines(spool) == [[one]]
    assert "incomplete (40 bytes)" in caplog.text


def test_what_an_empty_or_foreign_file_holds_harms_nobody(spool):
    spool.mkdir()
    for name in ("notes.txt", "writer.lock", f"{'b' * 32}.live"):
        (spool / name).touch()
    reader = Spool(spool)
    assert reader.adopt() == 1
    assert [reader.read(path).lines for path in reader.sealed()] == [[]]


class TestADiskThatIsFull:
    @pytest.fixture
    def full(self, monkeypatch) -> dict[str, int | None]:
        """`room`: how many bytes the disk still takes; None: any number."""
        disk: dict[str, int | None] = {"room": None}
        write = os.write

        def limited(file, content):
            if disk["room"] is None:
                return write(file, content)
            if disk["room"] == 0:
                raise OSError(28, "No space left on device")
            taken = write(file, bytes(content)[: disk["room"]])
            disk["room"] = max(0, disk["room"] - taken)
            return taken

        monkeypatch.setattr(journal.os, "write", limited)
        return disk

    def test_fails_no_request_and_loses_no_entry(self, kept, spool, timers, full, caplog):
        before, during, after = entry(), [entry(), entry()], entry()
        kept.append(before)
        full["room"] = 0
        for each in during:
            kept.append(each)
        assert kept.counters.waiting == 2
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        timers.run()
        assert kept.counters.waiting == 2
        full["room"] = None
        timers.run()
        assert kept.counters.waiting == 0
        kept.append(after)
        kept.close()
        assert [each for segment in lines(spool) for each in segment] == [before, *during, after]
        assert kept.counters == journal.Counters(appended=4)

    def test_in_the_middle_of_a_line_leaves_no_half_line(self, kept, spool, timers, full):
        before, torn = entry(), entry()
        kept.append(before)
        full["room"] = 40
        kept.append(torn)
        full["room"] = None
        timers.run()
        kept.close()
        assert [each for segment in lines(spool) for each in segment] == [before, torn]

    def test_for_long_keeps_the_order_and_bounds_the_memory(self, spool, timers, full, caplog):
        kept = Journal(spool, schedule=timers, buffer_size=3)
        full["room"] = 0
        entries = [entry() for _ in range(5)]
        for each in entries:
            kept.append(each)
        assert kept.counters == journal.Counters(appended=5, waiting=3, lost=2)
        full["room"] = None
        kept.close()
        assert [each for segment in lines(spool) for each in segment] == entries[:3]

    def test_to_the_end_is_said_at_the_end(self, kept, full, caplog):
        full["room"] = 0
        kept.append(entry())
        kept.close()
        assert kept.counters == journal.Counters(appended=1, lost=1)
        assert "1 log entries are lost" in caplog.text


def test_a_spool_that_cannot_be_made_is_tried_again(tmp_path, timers):
    blocker = tmp_path / "spool"
    blocker.write_text("a file is in the way")
    kept = Journal(blocker, schedule=timers)
    one = entry()
    kept.append(one)
    blocker.unlink()
    timers.run()
    kept.close()
    assert lines(blocker) == [[one]]


def test_an_entry_that_json_cannot_hold_is_lost_alone(kept, spool, caplog):
    one = entry()
    kept.append(entry(request_metadata={"a": object()}))
    kept.append(one)
    kept.close()
    assert lines(spool) == [[one]]
    assert kept.counters == journal.Counters(appended=1, lost=1)


def test_of_unauthenticated_requests_ten_a_second_are_kept_and_the_rest_is_counted(spool, timers, caplog):
    now = [100.0]
    kept = Journal(spool, schedule=timers, clock=lambda: now[0])
    for _ in range(25):
        kept.append(entry(outcome="rejected", status_code=401), unauthenticated=True)
    kept.append(entry())
    now[0] += 1
    for _ in range(3):
        kept.append(entry(outcome="rejected", status_code=401), unauthenticated=True)
    timers.run()
    kept.close()
    assert sum(len(segment) for segment in lines(spool)) == 10 + 1 + 3
    assert kept.counters == journal.Counters(appended=14, unlisted=15)
    assert caplog.messages == ["Requests without a valid key that were rejected but not logged one by one, since the start: 15"]


def test_before_the_start_there_is_no_journal(monkeypatch):
    monkeypatch.setattr(journal, "_current", None)
    with pytest.raises(RuntimeError, match=r"^The journal was not started\.$"):
        journal.current()


def test_the_gate_lets_so_many_pass_in_any_second() -> None:
    gate = journal.RateGate(per_second=2)
    assert [gate.allows(now) for now in (0.0, 0.25, 0.5, 0.75, 1.0, 1.125, 1.25)] == [True, True, False, False, True, False, True]

"""The journal keeps every entry, whatever the disk does."""

import logging
import os

import msgspec
import pytest

from billing.outcomes import Outcome
from billing.request_log import journal
from billing.request_log.entry import LogEntry
from billing.request_log.journal import Journal
from billing.request_log.spool import Spool
from tests.billing.conftest import entry


@pytest.fixture
def open_journal(spool, timers) -> Journal:
    journal_ = Journal(spool, schedule=timers)
    yield journal_
    journal_.close()


def lines(spool) -> list[list[LogEntry]]:
    """The entries of the complete segments."""
    reader = Spool(spool)
    return [[msgspec.json.decode(line, type=LogEntry) for line in reader.read(path).lines] for path in reader.sealed()]


def test_an_entry_is_in_the_file_when_append_returns(open_journal, spool):
    log_entry = entry(error_message='line\nbreak and "quotes"', request_metadata={"a": [1, None]})
    open_journal.append(log_entry)
    (path,) = spool.glob("*.live")
    assert msgspec.json.decode(path.read_bytes(), type=LogEntry) == log_entry


def test_a_segment_is_sealed_a_quarter_of_a_second_after_its_first_entry(open_journal, spool, timers):
    log_entry, second_entry = entry(), entry()
    open_journal.append(log_entry)
    open_journal.append(second_entry)
    assert lines(spool) == []
    assert timers.run() == [0.25]
    assert lines(spool) == [[log_entry, second_entry]]


def test_an_idle_journal_has_no_timer_and_no_segment(open_journal, spool, timers):
    assert (timers.due, spool.exists()) == ([], False)
    open_journal.append(entry())
    timers.run()
    assert (timers.due, [path.suffix for path in spool.iterdir()]) == ([], [".sealed"])


def test_a_segment_is_sealed_after_500_entries(open_journal, spool):
    entries = [entry() for _ in range(501)]
    for log_entry in entries:
        open_journal.append(log_entry)
    assert lines(spool) == [entries[:500]]
    open_journal.close()
    assert sorted(len(segment) for segment in lines(spool)) == [1, 500]


def test_the_timer_of_a_full_segment_does_not_seal_the_next_one(open_journal, spool, timers):
    for _ in range(501):
        open_journal.append(entry())
    first, second = timers.due
    first[1]()
    assert len(list(spool.glob("*.live"))) == 1
    second[1]()
    assert len(list(spool.glob("*.live"))) == 0


def test_a_live_segment_is_locked_and_a_dead_one_is_adopted(open_journal, spool):
    open_journal.append(entry())
    assert Spool(spool).adopt() == 0
    os.close(open_journal._file)  # what the end of a process does
    open_journal._file = None
    assert Spool(spool).adopt() == 1
    assert len(lines(spool)) == 1


def test_a_torn_last_line_is_dropped_and_the_others_stay(spool, caplog):
    spool.mkdir()
    log_entry = entry()
    line = msgspec.json.encode(log_entry) + b"\n"
    (spool / f"{'a' * 32}.sealed").write_bytes(line + line[:40])
    assert lines(spool) == [[log_entry]]
    assert "incomplete (40 bytes)" in caplog.text


def test_empty_and_foreign_files_do_no_harm(spool):
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
            size = write(file, bytes(content)[: disk["room"]])
            disk["room"] = max(0, disk["room"] - size)
            return size

        monkeypatch.setattr(journal.os, "write", limited)
        return disk

    def test_fails_no_request_and_loses_no_entry(self, open_journal, spool, timers, full, caplog):
        before, during, after = entry(), [entry(), entry()], entry()
        open_journal.append(before)
        full["room"] = 0
        for log_entry in during:
            open_journal.append(log_entry)
        assert open_journal.counters.waiting == 2
        assert [record.levelno for record in caplog.records] == [logging.ERROR]
        timers.run()
        assert open_journal.counters.waiting == 2
        full["room"] = None
        timers.run()
        assert open_journal.counters.waiting == 0
        open_journal.append(after)
        open_journal.close()
        assert [log_entry for segment in lines(spool) for log_entry in segment] == [before, *during, after]
        assert open_journal.counters == journal.Counters(appended=4)

    def test_in_the_middle_of_a_line_leaves_no_half_line(self, open_journal, spool, timers, full):
        before, torn = entry(), entry()
        open_journal.append(before)
        full["room"] = 40
        open_journal.append(torn)
        full["room"] = None
        timers.run()
        open_journal.close()
        assert [log_entry for segment in lines(spool) for log_entry in segment] == [before, torn]

    def test_for_long_keeps_the_order_and_bounds_the_memory(self, spool, timers, full, caplog):
        open_journal = Journal(spool, schedule=timers, buffer_size=3)
        full["room"] = 0
        entries = [entry() for _ in range(5)]
        for log_entry in entries:
            open_journal.append(log_entry)
        assert open_journal.counters == journal.Counters(appended=5, waiting=3, lost=2)
        full["room"] = None
        open_journal.close()
        assert [log_entry for segment in lines(spool) for log_entry in segment] == entries[:3]

    def test_to_the_end_is_logged_at_the_end(self, open_journal, full, caplog):
        full["room"] = 0
        open_journal.append(entry())
        open_journal.close()
        assert open_journal.counters == journal.Counters(appended=1, lost=1)
        assert "1 log entries are lost" in caplog.text


def test_a_spool_that_cannot_be_made_is_tried_again(tmp_path, timers):
    blocker = tmp_path / "spool"
    blocker.write_text("a file is in the way")
    open_journal = Journal(blocker, schedule=timers)
    log_entry = entry()
    open_journal.append(log_entry)
    blocker.unlink()
    timers.run()
    open_journal.close()
    assert lines(blocker) == [[log_entry]]


def test_an_entry_that_json_cannot_represent_is_lost_but_no_other(open_journal, spool, caplog):
    log_entry = entry()
    open_journal.append(entry(request_metadata={"a": object()}))
    open_journal.append(log_entry)
    open_journal.close()
    assert lines(spool) == [[log_entry]]
    assert open_journal.counters == journal.Counters(appended=1, lost=1)


def test_ten_unauthenticated_requests_a_second_are_written_and_the_others_counted(spool, timers, caplog):
    now = [100.0]
    open_journal = Journal(spool, schedule=timers, clock=lambda: now[0])
    for _ in range(25):
        open_journal.append(entry(outcome=Outcome.REJECTED, status_code=401), unauthenticated=True)
    open_journal.append(entry())
    now[0] += 1
    for _ in range(3):
        open_journal.append(entry(outcome=Outcome.REJECTED, status_code=401), unauthenticated=True)
    timers.run()
    open_journal.close()
    assert sum(len(segment) for segment in lines(spool)) == 10 + 1 + 3
    assert open_journal.counters == journal.Counters(appended=14, unlisted=15)
    assert caplog.messages == ["Requests without a valid key that were rejected but not logged one by one, since the start: 15"]


def test_before_the_start_there_is_no_journal(monkeypatch):
    monkeypatch.setattr(journal, "_current", None)
    with pytest.raises(RuntimeError, match=r"^The journal was not started\.$"):
        journal.current()


def test_the_rate_gate_allows_its_number_of_events_in_any_second() -> None:
    gate = journal.RateGate(per_second=2)
    assert [gate.allows(now) for now in (0.0, 0.25, 0.5, 0.75, 1.0, 1.125, 1.25)] == [True, True, False, False, True, False, True]

"""With a broker, segments are sent until their rows are in the database."""

import os
import threading

import pytest
from django.conf import settings
from django.core.management import call_command
from django.db import OperationalError
from kombu.exceptions import OperationalError as BrokerAway

from billing import tasks
from billing.models import RequestLog
from billing.request_log import writer
from billing.request_log.journal import Journal
from billing.request_log.shipper import Shipper
from billing.request_log.spool import Segment, Spool
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import write_entries
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.usefixtures("database")


class Broker:
    """Takes segments, or is away."""

    def __init__(self) -> None:
        self.taken: list[Segment] = []
        self.is_away = False

    def __call__(self, segment: Segment) -> None:
        if self.is_away:
            raise BrokerAway("refused")
        self.taken.append(segment)


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def now() -> list[float]:
    return [1000.0]


@pytest.fixture
def shipper(spool, broker, now) -> Shipper:
    return Shipper(spool, broker, clock=lambda: now[0])


def test_a_segment_is_sent_once_and_removed_when_it_is_committed(spool, shipper, broker, now):
    log_entry = entry()
    write_entries(spool, log_entry)
    shipper.ship()
    shipper.ship()
    (segment,) = broker.taken
    assert len(Spool(spool).sealed()) == 1
    assert writer.write_segments([segment], Spool(spool)) == 1
    now[0] += 2
    shipper.ship()
    assert Spool(spool).sealed() == []
    assert len(broker.taken) == 1
    assert [str(row.id) for row in RequestLog.objects.all()] == [log_entry.id]


def test_a_segment_that_got_lost_is_sent_again_after_a_minute_and_written_once(spool, shipper, broker, now):
    write_entries(spool, entry())
    shipper.ship()
    now[0] += 59
    shipper.ship()
    assert len(broker.taken) == 1
    now[0] += 1
    shipper.ship()
    assert broker.taken == [broker.taken[0]] * 2
    assert [writer.write_segments([segment], Spool(spool)) for segment in broker.taken] == [1, 0]


def test_a_segment_that_no_worker_writes_is_sent_again_after_longer_and_longer_pauses(spool, shipper, broker, now):
    write_entries(spool, entry())
    sent_after = []
    for minute in range(40):
        shipper.ship()
        if len(broker.taken) > len(sent_after):
            sent_after.append(minute)
        now[0] += 60
    assert sent_after == [0, 1, 3, 7, 15, 25, 35]


def test_no_more_segments_are_in_flight_than_allowed(spool, shipper, broker, now, monkeypatch):
    monkeypatch.setattr("billing.request_log.shipper.MAX_IN_FLIGHT", 2)
    for _ in range(3):
        write_entries(spool, entry())
    shipper.ship()
    shipper.ship()
    assert len(broker.taken) == 2
    writer.write_segments(broker.taken[:1], Spool(spool))
    now[0] += 2
    shipper.ship()
    shipper.ship()
    assert len({segment.id for segment in broker.taken}) == len(broker.taken) == 3


def test_nothing_is_sent_again_while_the_database_does_not_say_what_is_missing(spool, shipper, broker, now, monkeypatch):
    write_entries(spool, entry())
    shipper.ship()
    monkeypatch.setattr(shipper, "_remove_committed", lambda: (_ for _ in ()).throw(OperationalError("no route")))
    for _ in range(3):
        now[0] += 60
        with pytest.raises(OperationalError):
            shipper.ship()
    assert len(broker.taken) == 1


def test_an_outage_of_the_broker_and_its_end_are_logged_once(spool, shipper, broker, monkeypatch, caplog):
    monkeypatch.setattr(shipper._stopping, "wait", lambda seconds: False)
    write_entries(spool, entry())
    broker.is_away = True
    shipper._try_to_ship()
    shipper._try_to_ship()
    broker.is_away = False
    shipper._try_to_ship()
    shipper._try_to_ship()
    assert caplog.messages == ["Log segments cannot be sent to the broker: refused", "Log segments are sent to the broker again"]


def test_a_hanging_broker_does_not_keep_the_shipper_from_ending(spool, monkeypatch, caplog):
    monkeypatch.setattr("billing.request_log.shipper.STOP_SECONDS", 0.05)
    called, answers = threading.Event(), threading.Event()
    write_entries(spool, entry())
    shipper = Shipper(spool, lambda segment: (called.set(), answers.wait(PATIENCE)))
    shipper.start()
    assert called.wait(PATIENCE)
    shipper.stop()
    assert caplog.messages == ["1 segments of the log were not sent; they stay in the spool until the next start"]
    assert len(Spool(spool).sealed()) == 1
    answers.set()
    shipper._thread.join(PATIENCE)
    assert not shipper._thread.is_alive()


def test_while_the_broker_is_away_everything_waits_in_the_spool(spool, shipper, broker, now):
    write_entries(spool, entry())
    broker.is_away = True
    with pytest.raises(BrokerAway):
        shipper.ship()
    broker.is_away = False
    shipper.ship()
    assert len(broker.taken) == 1


def test_the_segments_of_a_killed_process_are_sent_too(spool, shipper, broker):
    dead = Journal(spool, schedule=lambda seconds, work: None)
    dead.append(entry())
    os.close(dead._file)
    shipper.ship()
    assert [len(segment.lines) for segment in broker.taken] == [1]


def test_of_two_shippers_one_works(spool, broker, django_db_blocker):
    write_entries(spool, entry())
    with Spool(spool).claimed("shipper"):
        idle = Shipper(spool, broker)
        idle.start()
        idle.stop()
    assert broker.taken == []


def test_the_task_writes_what_was_sent(spool, shipper, broker, monkeypatch):
    queued = []
    monkeypatch.setattr(tasks.write_request_logs, "apply_async", lambda args, **options: queued.append((args, options)))
    log_entry = entry(model="größe")
    write_entries(spool, log_entry)
    (path,) = Spool(spool).sealed()
    tasks.send_segment(Spool(spool).read(path))
    ((args, options),) = queued
    assert options == {"retry": False}
    assert tasks.write_request_logs(*args) == 1
    assert RequestLog.objects.get().model == "größe"


def test_the_spool_of_the_settings_is_drained_by_task_and_command(capsys):
    directory = settings.PXBIN.data_dir / "spool"
    write_entries(directory, entry(), entry())
    assert tasks.drain_spool() == 2
    write_entries(directory, entry())
    call_command("flush_journal")
    assert capsys.readouterr().out == "1 new rows\n"


def test_while_the_database_is_unavailable_entries_stay_in_the_spool_and_this_is_logged_once(monkeypatch, caplog):
    directory = settings.PXBIN.data_dir / "spool"
    write_entries(directory, entry())
    with monkeypatch.context() as away:
        away.setattr(writer, "write_segments", lambda segments, spool: (_ for _ in ()).throw(OperationalError("no route")))
        assert [tasks.drain_spool(), tasks.drain_spool()] == [0, 0]
    assert [tasks.drain_spool(), tasks.drain_spool()] == [1, 0]
    assert caplog.messages == [
        "The database is unavailable, log entries wait in the spool: no route",
        "The database is available again, log entries are written",
    ]


def test_while_the_database_is_unavailable_the_task_retries_and_this_is_logged_once(spool, monkeypatch, caplog):
    write_entries(spool, entry(model="größe"))
    segment = Spool(spool).read(*Spool(spool).sealed())
    write, tries = writer.write_segments, []

    def fail_twice(segments, spool):
        tries.append(segments)
        if len(tries) < 3:
            raise OperationalError("no\n\troute")
        return write(segments, spool)

    monkeypatch.setattr(writer, "write_segments", fail_twice)
    tasks.write_request_logs.apply(([line.decode() for line in segment.lines], segment.id))
    assert tries == [[segment]] * 3
    assert RequestLog.objects.get().model == "größe"
    assert caplog.messages == [
        "The database is unavailable, log entries wait in the spool: no route",
        "The database is available again, log entries are written",
    ]

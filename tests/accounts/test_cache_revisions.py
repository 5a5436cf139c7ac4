import asyncio
import threading

import pytest
from asgiref.sync import sync_to_async
from django.db import DatabaseError, connection, connections, transaction
from django.db.backends.postgresql.base import DatabaseWrapper as PostgreSQL

from accounts import cache_revisions
from accounts.cache_revisions import Watcher
from accounts.models import ApiKey, Revision
from pxbin_site.conf.config import Config
from pxbin_site.conf.databases import database
from tests.support.waiting import eventually, eventually_async

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def refreshed():
    """The revision ``keys`` at each refresh of a listener."""
    calls = []

    def refresh():
        calls.append(Revision.objects.get(pk="keys").number if Revision.objects.filter(pk="keys").exists() else 0)

    cache_revisions.on_change("keys", refresh)
    yield calls
    cache_revisions.remove_listener(refresh)


@pytest.fixture
def watcher():
    watchers = []

    def start(**options):
        watcher = Watcher(**options)
        watchers.append(watcher)
        return watcher

    yield start
    for watcher in watchers:
        if watcher._thread.is_alive():
            watcher.stop()


def write_elsewhere(work):
    """Write as another process would: without a poll in this one."""
    cache_revisions.revised.disconnect(dispatch_uid="accounts.revisions")
    try:
        work()
    finally:
        cache_revisions.revised.connect(cache_revisions._poll_after_write, dispatch_uid="accounts.revisions")


def key(number):
    return ApiKey(key_hash=f"{number:064x}", key_prefix="pxb_0000")


def test_every_write_adds_one_except_to_unrevised_columns():
    numbers = []

    def count():
        numbers.append(cache_revisions.read_revisions().get("keys", 0))

    row = key(1)
    row.save()
    count()
    row.name = "renamed"
    row.save()
    count()
    ApiKey.objects.bulk_create([key(2), key(3)])
    count()
    ApiKey.objects.filter(key_prefix="pxb_0000").update(is_active=False)
    count()
    ApiKey.objects.update(last_used_at=None)
    count()
    ApiKey.objects.filter(pk=row.pk).delete()
    count()
    ApiKey.objects.first().delete()
    count()
    Revision.objects.bump("keys")
    count()
    assert numbers == [1, 2, 3, 4, 4, 5, 6, 7]


def test_a_rolled_back_change_adds_nothing():
    with transaction.atomic():
        key(1).save()
        transaction.set_rollback(True)
    assert cache_revisions.read_revisions() == {}


def test_caches_are_refreshed_when_the_write_returns(refreshed):
    cache_revisions.poll()
    key(1).save()
    assert refreshed == [0, 1]


def test_a_process_that_has_cached_nothing_reads_nothing(refreshed):
    key(1).save()
    assert refreshed == []


def test_caches_are_refreshed_only_when_the_transaction_commits(refreshed):
    cache_revisions.poll()
    with transaction.atomic():
        key(1).save()
        assert refreshed == [0]
    assert refreshed == [0, 1]


def test_a_failed_refresh_is_tried_again_and_does_not_stop_the_others(refreshed):
    attempts = []

    def broken():
        attempts.append(1)
        raise ValueError("a defect")

    cache_revisions.on_change("catalogue", broken)
    try:
        for _ in range(2):
            with pytest.raises(ValueError, match="a defect"):
                cache_revisions.poll()
    finally:
        cache_revisions.remove_listener(broken)
    assert (len(attempts), refreshed) == (2, [0])


def test_a_change_by_another_process_arrives_within_a_second(refreshed, watcher):
    watcher().start()
    assert refreshed == [0]
    write_elsewhere(lambda: key(1).save())
    assert eventually(lambda: refreshed == [0, 1])


async def test_refresh_now_loads_what_was_written_before(refreshed, watcher):
    running = watcher(interval=60.0)
    await sync_to_async(running.start)()
    await sync_to_async(write_elsewhere)(lambda: key(1).save())
    assert refreshed == [0]
    assert await cache_revisions.refresh_now() is True
    assert refreshed == [0, 1]


async def test_concurrent_requests_share_polls(watcher, monkeypatch):
    polls = []
    real = cache_revisions.read_revisions

    def read_revisions():
        polls.append(1)
        return real()

    monkeypatch.setattr(cache_revisions, "read_revisions", read_revisions)
    running = watcher(interval=60.0)
    await sync_to_async(running.start)()
    for _ in range(10):
        assert all(await asyncio.gather(*[cache_revisions.refresh_now() for _ in range(200)]))
    assert 10 < len(polls) < 200


async def test_without_a_watcher_refresh_now_polls_itself(refreshed):
    assert await cache_revisions.refresh_now() is True
    assert refreshed == [0]


async def test_caches_stay_while_the_database_is_away_and_catch_up_afterwards(refreshed, watcher, monkeypatch):
    running = watcher(interval=0.02)
    await sync_to_async(running.start)()
    real, away = cache_revisions.read_revisions, threading.Event()
    away.set()

    def read_revisions():
        if away.is_set():
            raise DatabaseError("no connection")
        return real()

    monkeypatch.setattr(cache_revisions, "read_revisions", read_revisions)
    assert await eventually_async(lambda: not running._reachable)
    assert await cache_revisions.refresh_now() is False
    await sync_to_async(write_elsewhere)(lambda: key(1).save())
    assert refreshed == [0]
    away.clear()
    assert await eventually_async(lambda: refreshed == [0, 1])
    assert await cache_revisions.refresh_now() is True


@pytest.fixture
def on_postgresql(postgres_url, monkeypatch, tmp_path):
    """The watcher polls PostgreSQL, which does not answer while the yielded event is set; ``waiting`` is set when it is queried."""
    settings = {**connections["default"].settings_dict, **database(Config(data_dir=tmp_path, database_url=postgres_url))}
    wrapper, silent = PostgreSQL(settings, alias="silent"), threading.Event()
    silent.waiting = threading.Event()
    wrapper.inc_thread_sharing()

    def read_revisions():
        with wrapper.cursor() as cursor:
            if silent.is_set():
                silent.waiting.set()
            cursor.execute("SELECT pg_sleep(%s)", [60 if silent.is_set() else 0])
        return {}

    monkeypatch.setattr(cache_revisions, "connections", {"default": wrapper})
    monkeypatch.setattr(cache_revisions, "read_revisions", read_revisions)
    monkeypatch.setattr(cache_revisions, "RESPONSE_TIMEOUT_SECONDS", 0.5)
    yield silent
    wrapper.close()
    wrapper.close_pool()


def test_a_database_that_does_not_answer_is_away_and_is_polled_again(on_postgresql, refreshed, watcher, caplog):
    running = watcher(interval=0.02)
    running.start()
    on_postgresql.set()
    assert eventually(lambda: not running._reachable)
    on_postgresql.clear()
    assert eventually(lambda: running._reachable)
    messages = [record.getMessage().partition(":")[0] for record in caplog.records if record.name.startswith("pxbin.")]
    assert messages == [
        "the database has not answered for 0.5 s; its connections are closed",
        "the database cannot be reached; requests are served from memory",
        "the database can be reached again",
    ]


def test_stopping_does_not_wait_for_a_database_that_does_not_answer(on_postgresql, refreshed, watcher):
    calls = []
    running = watcher(interval=0.02)
    running.every(3600.0, lambda: calls.append("last"))
    running.start()
    on_postgresql.set()
    assert on_postgresql.waiting.wait(3.0)
    running.stop()
    assert (running._thread.is_alive(), calls) == (False, [])


def test_stopping_waits_only_a_limited_time_for_the_last_tasks(watcher, monkeypatch, caplog):
    monkeypatch.setattr(cache_revisions, "STOP_SECONDS", 0.05)
    running, over = watcher(), threading.Event()
    running.every(3600.0, lambda: over.wait(5))
    running.start()
    running.stop()
    over.set()
    assert [record.getMessage() for record in caplog.records] == ["the database does not answer; the last periodic tasks are not finished"]
    running._thread.join()


def test_only_a_poll_logs_that_the_database_is_back(refreshed, watcher, monkeypatch, caplog):
    """Periodic tasks that have nothing to write succeed also while the database is away."""
    reachable_at_task, polls_while_away, away = [], [], threading.Event()
    real = cache_revisions.read_revisions

    def read_revisions():
        if away.is_set():
            polls_while_away.append(1)
            raise DatabaseError("no\n\tconnection")
        return real()

    monkeypatch.setattr(cache_revisions, "read_revisions", read_revisions)
    running = watcher(interval=0.01)
    running.every(0.0, lambda: reachable_at_task.append(running._reachable))
    running.start()
    away.set()
    assert eventually(lambda: len(polls_while_away) >= 3)
    running.stop()
    messages = [record.getMessage() for record in caplog.records]
    assert messages == ["the database cannot be reached; requests are served from memory: no connection"]
    assert set(reachable_at_task) <= {True}


def test_periodic_tasks_run_on_time_and_once_more_at_the_end(watcher):
    calls = []
    running = watcher(interval=0.01)
    running.every(0.05, lambda: calls.append(threading.current_thread().name))
    running.start()
    assert eventually(lambda: len(calls) >= 2)
    running.stop()
    assert not running._thread.is_alive()
    count = len(calls)
    assert set(calls) == {"pxbin-watcher"}
    slow = watcher()
    slow.every(3600.0, lambda: calls.append("last"))
    slow.start()
    slow.stop()
    assert calls[count:] == ["last"]


def test_concurrent_writers_lose_no_increment():
    def write(start):
        try:
            for number in range(start, start + 20):
                key(number).save()
        finally:
            connection.close()

    threads = [threading.Thread(target=write, args=(start,)) for start in (100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache_revisions.read_revisions() == {"keys": 60}

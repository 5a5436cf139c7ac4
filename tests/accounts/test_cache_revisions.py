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
from tests.support.waiting import PATIENCE, eventually, eventually_async

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def seen():
    """How often the tables of the keys were read again."""
    calls = []

    def refresh():
        calls.append(Revision.objects.get(pk="keys").number if Revision.objects.filter(pk="keys").exists() else 0)

    cache_revisions.listen("keys", refresh)
    yield calls
    cache_revisions.forget(refresh)


@pytest.fixture
def watcher(monkeypatch):
    monkeypatch.setattr(cache_revisions, "CONFIRMATION_TIMEOUT_SECONDS", PATIENCE)
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
    """Write as another process would: without telling this one."""
    cache_revisions.revised.disconnect(dispatch_uid="accounts.revisions")
    try:
        work()
    finally:
        cache_revisions.revised.connect(cache_revisions._changed_here, dispatch_uid="accounts.revisions")


def key(number):
    return ApiKey(key_hash=f"{number:064x}", key_prefix="pxb_0000")


def test_every_way_of_writing_counts_once_except_what_changes_nothing_served():
    numbers = []

    def count():
        numbers.append(cache_revisions.current().get("keys", 0))

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


def test_a_change_that_is_rolled_back_is_none():
    with transaction.atomic():
        key(1).save()
        transaction.set_rollback(True)
    assert cache_revisions.current() == {}


def test_memory_is_fresh_when_the_write_returns(seen):
    cache_revisions.check()
    key(1).save()
    assert seen == [0, 1]


def test_a_process_that_serves_nothing_reads_nothing(seen):
    key(1).save()
    assert seen == []


def test_memory_is_left_alone_until_the_transaction_commits(seen):
    cache_revisions.check()
    with transaction.atomic():
        key(1).save()
        assert seen == [0]
    assert seen == [0, 1]


def test_a_refresh_that_fails_stays_due_and_does_not_keep_the_others(seen):
    attempts = []

    def broken():
        attempts.append(1)
        raise ValueError("a defect")

    cache_revisions.listen("catalogue", broken)
    try:
        for _ in range(2):
            with pytest.raises(ValueError, match="a defect"):
                cache_revisions.check()
    finally:
        cache_revisions.forget(broken)
    assert (len(attempts), seen) == (2, [0])


def test_a_change_elsewhere_arrives_by_itself(seen, watcher):
    watcher().start()
    assert seen == [0]
    write_elsewhere(lambda: key(1).save())
    assert eventually(lambda: seen == [0, 1])


async def test_a_request_can_ask_for_a_fresh_look(seen, watcher):
    running = watcher(interval=60.0)
    await sync_to_async(running.start)()
    await sync_to_async(write_elsewhere)(lambda: key(1).save())
    assert seen == [0]
    assert await cache_revisions.confirm() is True
    assert seen == [0, 1]


async def test_many_requests_share_few_looks(watcher, monkeypatch):
    looks = []
    real = cache_revisions.current

    def counted():
        looks.append(1)
        return real()

    monkeypatch.setattr(cache_revisions, "current", counted)
    running = watcher(interval=60.0)
    await sync_to_async(running.start)()
    looks.clear()
    for _ in range(10):
        assert all(await asyncio.gather(*[cache_revisions.confirm() for _ in range(200)]))
    assert len(looks) < 100  # one or two for each 200


async def test_without_a_watcher_the_look_is_made_here(seen):
    assert await cache_revisions.confirm() is True
    assert seen == [0]


async def test_memory_serves_on_while_the_database_is_away_and_catches_up(seen, watcher, monkeypatch):
    running = watcher(interval=0.02)
    await sync_to_async(running.start)()
    real, away = cache_revisions.current, threading.Event()
    away.set()

    def current():
        if away.is_set():
            raise DatabaseError("no connection")
        return real()

    monkeypatch.setattr(cache_revisions, "current", current)
    assert await eventually_async(lambda: not running._reachable)
    assert await cache_revisions.confirm() is False
    await sync_to_async(write_elsewhere)(lambda: key(1).save())
    assert seen == [0]
    away.clear()
    assert await eventually_async(lambda: seen == [0, 1])
    assert await cache_revisions.confirm() is True


@pytest.fixture
def on_postgresql(postgres_url, monkeypatch, tmp_path):
    """What a watcher asks is PostgreSQL; while ``silent`` is set, that never answers; ``silent.asked`` is set then."""
    settings = {**connections["default"].settings_dict, **database(Config(data_dir=tmp_path, database_url=postgres_url))}
    wrapper, silent = PostgreSQL(settings, alias="silent"), threading.Event()
    wrapper.inc_thread_sharing()
    silent.asked = threading.Event()

    def current():
        if silent.is_set():
            silent.asked.set()
        with wrapper.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(%s)", [60 if silent.is_set() else 0])
        return {}

    monkeypatch.setattr(cache_revisions, "connections", {"default": wrapper})
    monkeypatch.setattr(cache_revisions, "current", current)
    monkeypatch.setattr(cache_revisions, "SILENCE_SECONDS", 0.5)
    yield silent
    wrapper.close()
    wrapper.close_pool()


def test_a_database_that_says_nothing_is_away_and_is_asked_again(on_postgresql, seen, watcher, caplog):
    running = watcher(interval=0.02)
    running.start()
    on_postgresql.set()
    assert eventually(lambda: not running._reachable)
    on_postgresql.clear()
    assert eventually(lambda: running._reachable)
    told = [record.getMessage().partition(":")[0] for record in caplog.records if record.name.startswith("pxbin.")]
    assert told == [
        "the database has said nothing for 0.5 s, its connections are given up",
        "the database is away, memory serves on",
        "the database is back",
    ]


def test_the_end_does_not_wait_for_a_database_that_says_nothing(on_postgresql, seen, watcher):
    done = []
    running = watcher(interval=0.02)
    running.every(3600.0, lambda: done.append("last"))
    running.start()
    on_postgresql.set()
    assert on_postgresql.asked.wait(PATIENCE)
    running.stop()
    running._thread.join(PATIENCE)
    assert (running._thread.is_alive(), done) == (False, [])


def test_an_end_that_lasts_is_not_waited_for(watcher, monkeypatch, caplog):
    monkeypatch.setattr(cache_revisions, "STOP_SECONDS", 0.05)
    running, over = watcher(), threading.Event()
    running.every(3600.0, lambda: over.wait(PATIENCE))
    running.start()
    running.stop()
    over.set()
    assert [record.getMessage() for record in caplog.records] == ["the database does not answer, the last chores are left undone"]
    running._thread.join()


def test_only_a_look_says_that_the_database_is_back(seen, watcher, monkeypatch, caplog):
    """Chores that have nothing to write succeed all the same."""
    done, looks, away = [], [], threading.Event()
    real = cache_revisions.current

    def current():
        if away.is_set():
            looks.append(1)
            raise DatabaseError("no\n\tconnection")
        return real()

    monkeypatch.setattr(cache_revisions, "current", current)
    running = watcher(interval=0.01)
    running.every(0.0, lambda: done.append(running._reachable))
    running.start()
    away.set()
    assert eventually(lambda: not running._reachable)
    assert eventually(lambda: len(looks) > 3)
    running.stop()
    assert [record.getMessage() for record in caplog.records] == ["the database is away, memory serves on: no connection"]
    assert set(done) <= {True}


def test_chores_are_done_in_time_and_once_more_at_the_end(watcher):
    done = []
    running = watcher(interval=0.01)
    running.every(0.05, lambda: done.append(threading.current_thread().name))
    running.start()
    assert eventually(lambda: len(done) >= 2)
    running.stop()
    ended = len(done)
    assert not running._thread.is_alive()
    assert set(done) == {"pxbin-watcher"}
    slow = watcher()
    slow.every(3600.0, lambda: done.append("last"))
    slow.start()
    slow.stop()
    assert done[ended:] == ["last"]


def test_concurrent_writers_lose_no_count():
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
    assert cache_revisions.current() == {"keys": 60}

"""Remote objects reach the database with their log rows, and are found before that, too."""

import time
from datetime import timedelta

import msgspec
import pytest
from django.db import OperationalError
from django.utils import timezone

from accounts.cache_revisions import read_revisions
from billing import models, tasks
from billing.request_log import remote_objects, writer
from billing.request_log.entry import AttemptEntry, MadeEntry
from billing.request_log.journal import Journal
from billing.request_log.remote_objects import ObjectStore
from proxy.translation.errors import GatewayError
from tests.billing.conftest import entry
from tests.billing.request_log.test_writer import write_entries
from upstreams.routing.remote_objects import RemoteObject

pytestmark = pytest.mark.usefixtures("database")

ME, OTHER = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"
UPSTREAM, CREDENTIAL = "33333333-3333-4333-8333-333333333333", "44444444-4444-4444-8444-444444444444"
UNTIL = float(int(time.time()) + 86400)


def made(*objects, key=ME, credential=CREDENTIAL):
    """The entry of a request whose upstream made these objects."""
    last = AttemptEntry(timestamp=1, upstream_id=UPSTREAM, credential_id=credential)
    return entry(api_key_id=key, upstream_id=UPSTREAM, tries=[AttemptEntry(timestamp=1), last], made=list(objects))


def remembered(object_id, key=ME, **fields):
    where = {"upstream_id": UPSTREAM, "credential_id": CREDENTIAL, "until": UNTIL}
    return RemoteObject(id=object_id, api_key_id=key, **{**where, **fields})


def test_an_object_is_found_in_a_segment_that_is_appended_to_sealed_and_written(spool):
    store = ObjectStore(spool)
    assert store.read("resp_1") == []
    journal = Journal(spool, schedule=lambda seconds, work: None)
    journal.append(made(MadeEntry(id="resp_1", until=UNTIL, remote_id="r"), MadeEntry(id="file_1", until=UNTIL, is_nested=True)))
    expected = [[remembered("resp_1", remote_id="r")], [remembered("file_1", is_nested=True)], []]
    for step in (lambda: None, journal.close, lambda: writer.drain_spool(spool)):
        step()
        assert [store.read(object_id) for object_id in ("resp_1", "file_1", "resp_2")] == expected


def test_each_key_has_its_own_object_of_an_id_and_the_last_one_counts(spool):
    first = made(MadeEntry(id="resp_1", until=UNTIL - 1, remote_id="old"))
    write_entries(spool, first, made(MadeEntry(id="resp_1", until=UNTIL), key=OTHER, credential=None))
    writer.drain_spool(spool)
    write_entries(spool, made(MadeEntry(id="resp_1", until=UNTIL)))
    writer.drain_spool(spool)
    objects = sorted(ObjectStore(spool).read("resp_1"), key=lambda stored: stored.api_key_id)
    assert objects == [remembered("resp_1"), remembered("resp_1", OTHER, credential_id="")]


def test_a_line_that_comes_twice_changes_nothing(spool):
    line = msgspec.json.encode(made(MadeEntry(id="resp_1", until=UNTIL)))
    for segment in ("1" * 32, "2" * 32):
        writer.write_segments([writer.Segment(segment, [line, line])], writer.Spool(spool))
    assert models.RemoteObject.objects.count() == 1


def test_requests_without_a_key_leave_no_object(spool):
    write_entries(spool, made(MadeEntry(id="resp_1", until=UNTIL), key=None))
    assert (writer.drain_spool(spool), ObjectStore(spool).read("resp_1")) == (1, [])


def test_processes_learn_that_there_are_files(spool):
    write_entries(spool, made(MadeEntry(id="resp_1", until=UNTIL)))
    writer.drain_spool(spool)
    before = read_revisions().get(remote_objects.REVISION, 0)
    assert remote_objects.has_nested() is False
    write_entries(spool, made(MadeEntry(id="file_1", until=UNTIL, is_nested=True)))
    writer.drain_spool(spool)
    assert (remote_objects.has_nested(), read_revisions()[remote_objects.REVISION]) == (True, before + 1)


def test_expired_objects_are_not_found_and_are_deleted(spool):
    write_entries(spool, made(MadeEntry(id="resp_1", until=UNTIL), MadeEntry(id="resp_2", until=UNTIL)))
    writer.drain_spool(spool)
    models.RemoteObject.objects.filter(object_id="resp_1").update(expires_at=timezone.now() - timedelta(seconds=1))
    assert [ObjectStore(spool).read(object_id) for object_id in ("resp_1", "resp_2")] == [[], [remembered("resp_2")]]
    assert tasks.prune()["remote_objects"] == 1
    assert [row.object_id for row in models.RemoteObject.objects.all()] == ["resp_2"]


async def test_a_database_that_cannot_be_read_is_an_error_and_not_an_unknown_id(spool, monkeypatch):
    def fail(self, object_id):
        raise OperationalError("away")

    monkeypatch.setattr(ObjectStore, "_in_database", fail)
    with pytest.raises(GatewayError) as raised:
        await ObjectStore(spool).find("resp_1")
    assert raised.value.failure.kind == "overloaded"

"""Remote objects in the journal and in the database: written with the log row of the request that made them.

The web process that made an object has it in memory (:mod:`upstreams.routing.remote_objects`); this is the store of all others.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from uuid import UUID

import msgspec
from django.db import DatabaseError, InterfaceError, connection
from django.utils import timezone

from accounts.models import Revision
from billing import models
from billing.request_log.entry import LogEntry
from billing.request_log.spool import Spool
from proxy.translation.errors import Failure, GatewayError
from upstreams.routing.remote_objects import RemoteObject

log = logging.getLogger(__name__)

REVISION = "remote_objects"
"""The revision that counts the writes of objects that requests name inside of their content."""
MAX_SEGMENTS = 64
"""The most unwritten segments in which an id is looked for, the newest first."""
BATCH_ROWS = 1000
UPDATED = ("upstream_id", "credential_id", "remote_id", "unbilled_model", "is_nested", "expires_at")
_decode = msgspec.json.Decoder(LogEntry).decode


def objects_of(entry: LogEntry) -> list[RemoteObject]:
    """The objects that the upstream of an entry's last attempt keeps; none of requests without a key."""
    if not entry.made or not entry.api_key_id or not entry.upstream_id:
        return []
    credential_id = entry.tries[-1].credential_id if entry.tries else None
    return [made.held_by(entry.upstream_id, credential_id, api_key_id=entry.api_key_id) for made in entry.made]


def insert(entries: Iterable[LogEntry]) -> None:
    """Write the objects of entries inside the caller's transaction; of two with the same id and key the later one counts."""
    objects = {
        (remote_object.id, remote_object.api_key_id): remote_object
        for entry in entries
        if entry.made
        for remote_object in objects_of(entry)
    }
    if not objects:
        return
    if any(remote_object.is_nested for remote_object in objects.values()):
        Revision.objects.bump(REVISION)
    rows = [_row(objects[key]) for key in sorted(objects)]  # in one order, so that concurrent writers do not block each other
    models.RemoteObject.objects.bulk_create(
        rows, update_conflicts=True, unique_fields=["object_id", "api_key_id"], update_fields=UPDATED, batch_size=BATCH_ROWS
    )


def _row(remote_object: RemoteObject) -> models.RemoteObject:
    return models.RemoteObject(
        object_id=remote_object.id,
        api_key_id=UUID(remote_object.api_key_id),
        upstream_id=UUID(remote_object.upstream_id),
        credential_id=UUID(remote_object.credential_id) if remote_object.credential_id else None,
        remote_id=remote_object.remote_id,
        unbilled_model=remote_object.unbilled_model,
        is_nested=remote_object.is_nested,
        expires_at=datetime.fromtimestamp(remote_object.until, UTC),
    )


class ObjectStore:
    """The objects in the segments of a spool, which are not written yet, and in the database."""

    def __init__(self, directory: Path) -> None:
        self._spool = Spool(directory)

    async def find(self, object_id: str) -> Sequence[RemoteObject]:
        """The objects of an id, of all keys. Raises :class:`GatewayError` of kind ``overloaded`` if the database cannot be read."""
        try:
            return await asyncio.to_thread(self._find_and_close, object_id)
        except (DatabaseError, InterfaceError) as error:
            log.warning("the remote object of a request cannot be looked up: %s", error)
            failure = Failure(kind="overloaded", message="The gateway cannot look up where an object is at the moment")
            raise GatewayError(failure) from error

    def _find_and_close(self, object_id: str) -> list[RemoteObject]:
        try:
            return self.read(object_id)
        finally:
            connection.close()

    def read(self, object_id: str) -> list[RemoteObject]:
        """:meth:`find` in this thread; raises Django's database errors."""
        unwritten = self._in_spool(object_id)  # first: a segment is in the database before its file is removed
        written = self._in_database(object_id)
        return list({remote_object.api_key_id: remote_object for remote_object in [*written, *unwritten]}.values())

    def _in_spool(self, object_id: str) -> list[RemoteObject]:
        quoted = msgspec.json.encode(object_id)
        lines = [line for lines in self._spool.unwritten_lines(MAX_SEGMENTS) for line in lines if quoted in line]
        return [remote_object for line in lines for remote_object in _objects_in(line) if remote_object.id == object_id]

    def _in_database(self, object_id: str) -> list[RemoteObject]:
        rows = models.RemoteObject.objects.filter(object_id=object_id, expires_at__gt=timezone.now())
        return [
            RemoteObject(
                id=row.object_id,
                api_key_id=str(row.api_key_id),
                upstream_id=str(row.upstream_id),
                credential_id=str(row.credential_id or ""),
                until=row.expires_at.timestamp(),
                remote_id=row.remote_id,
                unbilled_model=row.unbilled_model,
                is_nested=row.is_nested,
            )
            for row in rows
        ]


def _objects_in(line: bytes) -> list[RemoteObject]:
    try:
        return objects_of(_decode(line))
    except (msgspec.DecodeError, RecursionError):  # the writer puts the line into the quarantine, with a message
        return []


def has_nested() -> bool:
    """Whether the database has an object that requests name inside of their content."""
    return models.RemoteObject.objects.filter(is_nested=True).exists()


def delete_expired() -> int:
    """Delete expired objects; return their number."""
    deleted = 0
    expired = models.RemoteObject.objects.filter(expires_at__lte=timezone.now()).order_by("expires_at")
    while batch := list(expired.values_list("pk", flat=True)[:BATCH_ROWS]):
        deleted += models.RemoteObject.objects.filter(pk__in=batch).delete()[0]
    return deleted

"""Captured bodies on their way to the database: a side file of each segment that has any, `<segment id>.bodies`.

They do not travel in the lines of the journal, which stay small and go through the broker. A line of a side file is in it before
the line of its request is in the segment. The process that removes a written segment stores its bodies first: writing them
twice makes no second row.
"""

from __future__ import annotations

import contextlib
import logging
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from django.db import DataError, IntegrityError, transaction

from billing.models import RequestPayload
from billing.request_log.entry import PayloadEntry

log = logging.getLogger(__name__)

BODIES = ".bodies"
"""The suffix of side files."""


class PayloadLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The bodies of one request: id and time of its log row (microseconds)."""

    log_id: str
    timestamp: int
    payload: PayloadEntry


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(PayloadLine).decode


class SideFile:
    """The side file of the segment that the journal appends to; opened when the first request with bodies comes."""

    def __init__(self) -> None:
        self._file: int | None = None
        self._segment: Path | None = None

    def append(self, segment: Path, line: PayloadLine) -> None:
        """Append a line; raises OSError."""
        if self._segment != segment:
            self.close()
            self._file = os.open(segment.with_suffix(BODIES), os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            self._segment = segment
        assert self._file is not None
        os.write(self._file, _encode(line) + b"\n")

    def close(self) -> None:
        """Close the file of the last segment."""
        if self._file is not None:
            os.close(self._file)
        self._file = self._segment = None


def store(segment: Path) -> int:
    """Write the bodies of a segment whose rows are in the log into the database, and remove their file; return their number.

    Raises django.db.Error while the database fails: the file stays.
    """
    path = segment.with_suffix(BODIES)
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return 0
    rows = []
    for line in filter(None, lines):
        try:
            rows.append(_row(_decode(line)))
        except (msgspec.DecodeError, ValueError, OverflowError) as error:
            log.warning("A line of %s holds no bodies of a request and is left out: %s", path.name, error)
    try:
        with transaction.atomic():
            RequestPayload.objects.bulk_create(rows, ignore_conflicts=True)
    except (DataError, IntegrityError, ValueError):
        _store_singly(rows)
    path.unlink(missing_ok=True)
    return len(rows)


def _store_singly(rows: list[RequestPayload]) -> None:
    """Write rows one by one after the database rejected them together; those that it rejects are logged."""
    for row in rows:
        try:
            with transaction.atomic():
                RequestPayload.objects.bulk_create([row], ignore_conflicts=True)
        except (DataError, IntegrityError, ValueError) as error:
            log.warning("The bodies of request %s cannot be stored: %s", row.log_id, error)


def _row(line: PayloadLine) -> RequestPayload:
    moment = datetime.fromtimestamp(line.timestamp / 1_000_000, tz=UTC)
    return RequestPayload(log_id=line.log_id, timestamp=moment, **msgspec.structs.asdict(line.payload))


def remove_abandoned(directory: Path, *, older_than: float) -> None:
    """Remove side files without a segment whose last change is before `older_than` (Unix seconds)."""
    for path in directory.glob(f"*{BODIES}"):
        with contextlib.suppress(FileNotFoundError):
            has_segment = any(path.with_suffix(suffix).exists() for suffix in (".new", ".live", ".sealed"))
            if not has_segment and path.stat().st_mtime < older_than:
                path.unlink()

"""Writes the captured bodies of side files (:mod:`billing.request_log.side_file`) into the database.

The process that removes a written segment stores its bodies first: writing them twice makes no second row.
"""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime
from pathlib import Path

import msgspec
from django.db import DataError, IntegrityError, transaction

from billing.models import RequestPayload
from billing.request_log.side_file import BODIES, PayloadLine

log = logging.getLogger(__name__)

_decode = msgspec.json.Decoder(PayloadLine).decode


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

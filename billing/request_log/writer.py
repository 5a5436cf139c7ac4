"""Write segments of the journal into the log: completely and once, in one transaction with their ids and with the sums of the log.

Called by Celery tasks (`billing.tasks`), `manage.py flush_journal` and tests.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
from django.db import DataError, IntegrityError, connection, transaction
from django.utils import timezone

from billing.models import CommittedSegment
from billing.request_log import bulk_insert, payload_files, remote_objects
from billing.request_log.counted_models import CountedModels
from billing.request_log.entry import LogEntry
from billing.request_log.late_prices import LatePrices
from billing.request_log.spool import Segment, Spool
from billing.rollups import store
from billing.rollups.accumulate import Sums
from billing.rollups.counting import Counting

log = logging.getLogger(__name__)

BATCH_LINES = 5000
"""Segments are written in one transaction until they have this many lines."""
REJECTED_VALUES = (DataError, IntegrityError, ValueError, OverflowError)
"""Errors of databases and their drivers for a value that does not fit its column, as opposed to an unavailable database."""
_late_prices = LatePrices()
_counted_models = CountedModels()
_counting = Counting()
_decode = msgspec.json.Decoder(LogEntry).decode
UUID = re.compile("[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
InvalidLines = list[tuple[bytes, str]]
"""Lines that cannot become rows, each with the reason."""


def drain_spool(directory: Path, *, wait: bool = False) -> int:
    """Write every complete segment of a spool into the log and remove it; return the number of new rows.

    Segments of killed processes are adopted first. While another process drains the spool, returns 0, or with `wait` waits for it.
    Raises django.db.Error when the database fails: the segments stay in the spool, and the next call tries again.
    """
    spool = Spool(directory)
    written = 0
    with spool.claimed(wait=wait) as is_ours:
        if not is_ours:
            return 0
        spool.adopt()
        waiting = spool.sealed()
        while waiting:
            segments = _read_next(spool, waiting)
            written += write_segments(list(segments.values()), spool)
            for path in segments:
                payload_files.store(path)
                spool.remove(path)
    return written


def _read_next(spool: Spool, waiting: list[Path]) -> dict[Path, Segment]:
    """Read the next segments by their paths, and remove them from `waiting`. Unreadable ones are left out."""
    segments: dict[Path, Segment] = {}
    lines = 0
    while waiting and lines < BATCH_LINES:
        path = waiting.pop(0)
        if (segment := spool.read(path)) is not None:
            segments[path] = segment
            lines += len(segment.lines)
    return segments


def write_segments(segments: Sequence[Segment], spool: Spool) -> int:
    """Write segments that are not in the log yet, with their ids; return the number of new rows.

    Lines that are not entries, or that the database rejects, go into the spool's quarantine; the others are written.
    """
    new: list[LogEntry] = []
    invalid: dict[str, InvalidLines] = {}
    with transaction.atomic():
        committed = _committed([segment.id for segment in segments])
        pending = [segment for segment in segments if segment.id not in committed]
        batches = []
        for segment in pending:
            entries, invalid[segment.id] = decode_lines(segment.lines)
            _late_prices.fill(entries)
            batches.append((segment.id, entries))
        all_entries = [entry for _, entries in batches for entry in entries]
        _counted_models.fill(all_entries)
        try:
            with transaction.atomic():
                new = _insert(all_entries)
        except REJECTED_VALUES:
            new = _write_singly(batches, invalid)
        _add_to_rollups(new)
        now = timezone.now()
        CommittedSegment.objects.bulk_create(
            [CommittedSegment(id=segment_id, rows=len(entries), created_at=now) for segment_id, entries in batches], ignore_conflicts=True
        )
        for segment_id, lines in invalid.items():
            if lines:
                spool.quarantine(segment_id, lines)
    return len(new)


def decode_lines(lines: Sequence[bytes]) -> tuple[list[LogEntry], InvalidLines]:
    """Decode lines into entries; lines that are not entries are returned separately."""
    entries: list[LogEntry] = []
    invalid: InvalidLines = []
    for line in lines:
        try:
            entry = _decode(line)
            _require_id(entry.id)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            invalid.append((line, str(error)))
        else:
            entries.append(entry)
    return entries, invalid


def _require_id(text: str) -> None:
    if not UUID.fullmatch(text):
        raise ValueError(f"{text!r} is not a UUID")


def _committed(segment_ids: list[str]) -> set[str]:
    return {segment_id.hex for segment_id in CommittedSegment.objects.filter(id__in=segment_ids).values_list("id", flat=True)}


def _insert(entries: list[LogEntry]) -> list[LogEntry]:
    if not entries:
        return []
    new = bulk_insert.insert(connection, entries, now=timezone.now())
    remote_objects.insert(new)
    return new


def write_entries(entries: list[LogEntry]) -> int:
    """Write entries that come from no journal, such as those of another gateway, and count them; return the number of new rows."""
    with transaction.atomic():
        _counted_models.fill(entries)
        new = _insert(entries)
        _add_to_rollups(new)
    return len(new)


def _add_to_rollups(new: list[LogEntry]) -> None:
    """Count the entries that became rows, in the transaction of their rows."""
    sums = Sums()
    _counting.learn(new)
    sums.add(new, _counting)
    store.add(connection, sums)


def _write_singly(batches: list[tuple[str, list[LogEntry]]], invalid: dict[str, InvalidLines]) -> list[LogEntry]:
    """Write entries one by one after the database rejected a batch; return the new ones. Those that it rejects are added to `invalid`."""
    new: list[LogEntry] = []
    for segment_id, entries in batches:
        for entry in entries:
            try:
                with transaction.atomic():
                    new += _insert([entry])
            except REJECTED_VALUES as error:
                invalid[segment_id].append((msgspec.json.encode(entry), str(error)))
    return new

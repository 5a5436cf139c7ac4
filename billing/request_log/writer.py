"""Write segments of the journal into the log: whole, once, in one transaction with their ids.

Used by Celery (`billing.tasks`), by `manage.py flush_journal` and by tests; it needs none of them.
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
from billing.request_log import bulk_insert
from billing.request_log.entry import LogEntry
from billing.request_log.late_prices import LatePrices
from billing.request_log.spool import Segment, Spool

log = logging.getLogger(__name__)

BATCH_LINES = 5000
"""Segments are written together until they have so many lines."""
REFUSED = (DataError, IntegrityError, ValueError, OverflowError)
"""How databases and their drivers say that a value is none they can take, as opposed to being away."""
_late_prices = LatePrices()
_decode = msgspec.json.Decoder(LogEntry).decode
UUID = re.compile("[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}")
Spoiled = list[tuple[bytes, str]]
"""Lines that cannot become rows, with the reasons."""


def drain_spool(directory: Path, *, wait: bool = False) -> int:
    """Write every complete segment of a spool into the log and remove it; the number of new rows.

    Segments of killed processes are adopted first. Does nothing while another process is at it, unless told to `wait`.
    Raises django.db.Error when the database does not take them: nothing is lost then, and the next call tries again.
    """
    spool = Spool(directory)
    written = 0
    with spool.claimed(wait=wait) as ours:
        if not ours:
            return 0
        spool.adopt()
        waiting = spool.sealed()
        while waiting:
            paths, segments = _take(spool, waiting)
            written += write_segments(segments, spool)
            for path in paths:
                spool.remove(path)
    return written


def _take(spool: Spool, waiting: list[Path]) -> tuple[list[Path], list[Segment]]:
    """Read the next segments, at least one, and take them off the list."""
    paths: list[Path] = []
    segments: list[Segment] = []
    lines = 0
    while waiting and lines < BATCH_LINES:
        paths.append(waiting.pop(0))
        segments.append(spool.read(paths[-1]))
        lines += len(segments[-1].lines)
    return paths, segments


def write_segments(segments: Sequence[Segment], spool: Spool) -> int:
    """Write segments that are not in the log yet, and their ids with them; the number of new rows.

    Lines that are no entries, or that the database refuses, go into the spool's quarantine and hold nobody up.
    """
    new = 0
    spoiled: dict[str, Spoiled] = {}
    with transaction.atomic():
        done = _committed([segment.id for segment in segments])
        fresh = [segment for segment in segments if segment.id not in done]
        batches = []
        for segment in fresh:
            entries, spoiled[segment.id] = decode(segment.lines)
            _late_prices.fill(entries)
            batches.append((segment.id, entries))
        try:
            with transaction.atomic():
                new = len(_insert([entry for _, entries in batches for entry in entries]))
        except REFUSED:
            new = _write_singly(batches, spoiled)
        now = timezone.now()
        CommittedSegment.objects.bulk_create(
            [CommittedSegment(id=segment_id, rows=len(entries), created_at=now) for segment_id, entries in batches], ignore_conflicts=True
        )
        for segment_id, lines in spoiled.items():
            if lines:
                spool.quarantine(segment_id, lines)
    return new


def decode(lines: Sequence[bytes]) -> tuple[list[LogEntry], Spoiled]:
    """Read lines; those that are no entries come back apart."""
    entries: list[LogEntry] = []
    spoiled: Spoiled = []
    for line in lines:
        try:
            entry = _decode(line)
            _require_id(entry.id)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            spoiled.append((line, str(error)))
        else:
            entries.append(entry)
    return entries, spoiled


def _require_id(text: str) -> None:
    if not UUID.fullmatch(text):
        raise ValueError(f"{text!r} is not a UUID")


def _committed(segment_ids: list[str]) -> set[str]:
    return {found.hex for found in CommittedSegment.objects.filter(id__in=segment_ids).values_list("id", flat=True)}


def _insert(entries: list[LogEntry]) -> list[LogEntry]:
    return bulk_insert.insert(connection, entries, now=timezone.now()) if entries else []


def _write_singly(batches: list[tuple[str, list[LogEntry]]], spoiled: dict[str, Spoiled]) -> int:
    """The database refused a batch: find the entries that it refuses, and write the others."""
    new = 0
    for segment_id, entries in batches:
        for entry in entries:
            try:
                with transaction.atomic():
                    new += len(_insert([entry]))
            except REFUSED as error:
                spoiled[segment_id].append((msgspec.json.encode(entry), str(error)))
    return new

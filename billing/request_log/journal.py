"""The journal: the entry of a request is in a file before the client gets the last byte of the response.

Every web process appends to a segment file of its own in the spool directory, one line of JSON for each request. The suffix of a
file is its state::

    <id>.new     just created; renamed when it is locked
    <id>.live    appended to; locked (flock) as long as its process lives
    <id>.sealed  complete; read by `billing.request_log.spool`

A line is written by one `write`, so a process that is killed leaves at most one incomplete line, the last one, of a request whose
response was not complete. Data that the kernel has accepted survive the end of the process, but not a power failure. A full or read-only
disk fails no request: lines then wait in memory, up to a limit, and lost ones are counted and logged.
"""

from __future__ import annotations

import fcntl
import functools
import logging
import os
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec

from billing.request_log.entry import LogEntry, PayloadEntry
from billing.request_log.side_file import PayloadLine, SideFile

log = logging.getLogger(__name__)

SPOOL_DIRECTORY = "spool"
NEW, LIVE, SEALED = ".new", ".live", ".sealed"
SEAL_SECONDS = 0.25
SEAL_LINES = 500
RETRY_SECONDS = 1.0
REJECTIONS_PER_SECOND = 10
REPORT_SECONDS = 10.0

Schedule = Callable[[float, Callable[[], object]], object]
"""Calls a function after a number of seconds, like `loop.call_later`."""
_encode_into = msgspec.json.Encoder().encode_into


class Counters(msgspec.Struct):
    """The object `journal` of `/health/detailed`."""

    appended: int = 0
    waiting: int = 0
    """Lines in memory because the spool could not be written."""
    lost: int = 0
    """Lines that exceeded the limit of memory or could not be encoded."""
    unlisted: int = 0
    """Rejected requests without a valid key that were counted instead of written."""


class Journal:
    """Appends entries to segments in `directory`. Not thread-safe: only the event loop calls it."""

    def __init__(
        self, directory: Path, *, schedule: Schedule, buffer_size: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`buffer_size` is the most lines that wait in memory while the spool cannot be written; `clock` returns seconds."""
        self.directory = directory
        self.counters = Counters()
        self._schedule = schedule
        self._clock = clock
        self._buffer_size = buffer_size
        self._waiting: deque[bytes] = deque()
        self._retrying = False
        self._line = bytearray()
        self._side_file = SideFile()
        self._file: int | None = None
        self._path = Path()
        self._size = 0
        self._lines = 0
        self._gate = RateGate(per_second=REJECTIONS_PER_SECOND)
        self._report_scheduled = False

    def append(self, entry: LogEntry, *, unauthenticated: bool = False, payload: PayloadEntry | None = None) -> None:
        """Append an entry. Never raises: afterwards the entry is in the file, in memory, or counted as lost.

        `payload`: its captured bodies, which are left out while the spool cannot be written.

        At most :data:`REJECTIONS_PER_SECOND` unauthenticated requests a second are written, because anyone can send them; the others
        are counted.
        """
        if unauthenticated and not self._gate.allows(self._clock()):
            self.counters.unlisted += 1
            self._schedule_report()
            return
        try:
            _encode_into(entry, self._line)
        except (TypeError, ValueError, RecursionError):  # metadata that JSON cannot represent: a defect of pxbin
            self.counters.lost += 1
            log.exception("The entry of request %s cannot be written as JSON and is lost", entry.request_id)
            return
        self._line.append(0x0A)
        self.counters.appended += 1
        if payload is not None and not self._waiting:
            self._write_payload(entry, payload)
        if self._waiting or not self._write(self._line):
            self._wait(bytes(self._line))

    def _write_payload(self, entry: LogEntry, payload: PayloadEntry) -> None:
        try:
            if self._file is None:
                self._open()
            self._side_file.append(self._path, PayloadLine(log_id=entry.id, timestamp=entry.timestamp, payload=payload))
        except OSError as error:
            log.warning("The bodies of request %s cannot be stored: %s", entry.request_id, error)

    def seal(self) -> None:
        """Complete the current segment, if there is one, so that it is written to the log."""
        if self._file is None:
            return
        file, self._file = self._file, None
        self._side_file.close()
        try:
            self._path.rename(self._path.with_suffix(SEALED))  # while it is locked: no other process adopts it
        except OSError as error:
            log.error("The segment %s cannot be sealed (%s); it will be adopted like one of a killed process", self._path, error)  # noqa: TRY400
        os.close(file)

    def close(self) -> None:
        """Write the waiting lines, if the spool can be written, and seal. Lines that still wait are lost, which is logged."""
        self._drain()
        self.seal()
        if self._waiting:
            self.counters.lost += len(self._waiting)
            log.error("%d log entries are lost: the spool %s could not be written", len(self._waiting), self.directory)
            self._waiting.clear()
            self.counters.waiting = 0

    def _write(self, line: bytes | bytearray) -> bool:
        """Append one line to the segment, and open one if there is none; `False` if the line could not be written completely."""
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            written = os.write(self._file, line)
        except OSError as error:
            self._abandon_segment(str(error))
            return False
        if written < len(line):
            self._abandon_segment("the disk is full")
            return False
        self._size += written
        self._lines += 1
        if self._lines >= SEAL_LINES:
            self.seal()
        return True

    def _open(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.directory / f"{uuid.uuid4().hex}{NEW}"
        file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # before it is renamed to .live, so that no other process adopts it
            path.rename(path.with_suffix(LIVE))
        except OSError:
            os.close(file)
            raise
        self._file, self._path, self._size, self._lines = file, path.with_suffix(LIVE), 0, 0
        self._schedule(SEAL_SECONDS, functools.partial(self._seal_if, self._path))

    def _seal_if(self, path: Path) -> None:
        if self._file is not None and self._path == path:
            self.seal()

    def _abandon_segment(self, reason: str) -> None:
        """After a failed write: truncate the incomplete line and seal the segment."""
        if not self._waiting:
            log.error("The log spool %s cannot be written (%s); entries wait in memory", self.directory, reason)
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            log.exception("The incomplete line at the end of %s cannot be removed", self._path)
        if self._lines:
            self.seal()
        else:
            os.close(self._file)
            self._file = None
            self._path.unlink(missing_ok=True)

    def _wait(self, line: bytes) -> None:
        if len(self._waiting) >= self._buffer_size:
            self.counters.lost += 1
            return
        self._waiting.append(line)
        self.counters.waiting = len(self._waiting)
        if not self._retrying:
            self._retrying = True
            self._schedule(RETRY_SECONDS, self._retry)

    def _retry(self) -> None:
        self._retrying = False
        self._drain()
        if self._waiting:
            self._retrying = True
            self._schedule(RETRY_SECONDS, self._retry)

    def _drain(self) -> None:
        waited = len(self._waiting)
        while self._waiting and self._write(self._waiting[0]):
            self._waiting.popleft()
        self.counters.waiting = len(self._waiting)
        if waited and not self._waiting:
            log.warning("The log spool can be written again; %d entries waited, %d are lost so far", waited, self.counters.lost)

    def _schedule_report(self) -> None:
        if not self._report_scheduled:
            self._report_scheduled = True
            self._schedule(REPORT_SECONDS, self._report_unlisted)

    def _report_unlisted(self) -> None:
        self._report_scheduled = False
        log.warning(
            "Requests without a valid key that were rejected but not logged one by one, since the start: %d", self.counters.unlisted
        )


class RateGate:
    """Allows at most `per_second` events in any second."""

    def __init__(self, *, per_second: int) -> None:
        self.per_second = per_second
        self._allowed_at: deque[float] = deque(maxlen=per_second)

    def allows(self, now: float) -> bool:
        """Whether fewer than `per_second` events were allowed in the second before `now` (seconds); counts this one if so."""
        if len(self._allowed_at) == self.per_second and now - self._allowed_at[0] < 1.0:
            return False
        self._allowed_at.append(now)
        return True


_current: Journal | None = None


def start(journal: Journal) -> Journal:
    """Set the journal of this process. Each web process has its own."""
    global _current  # noqa: PLW0603  (one for each process, set at its start)
    _current = journal
    return journal


def current() -> Journal:
    """The journal of this process. Raises RuntimeError before :func:`start`."""
    if _current is None:
        raise RuntimeError("The journal was not started.")
    return _current

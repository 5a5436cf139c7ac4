"""The journal: what is known of a finished request is safe in a file before the client has the answer's last byte.

Every web process appends to a segment file of its own in the spool directory, one line of JSON for each request. A file's
name says where it is in its life::

    <id>.new     being made             -> renamed once locked
    <id>.live    appended to; locked (flock) for as long as its process lives
    <id>.sealed  complete; `billing.request_log.spool` takes it from here

A line is written by one `write`, so a process that is killed leaves at most one torn line, at the end, of a request that
was not answered in full. What the kernel has taken survives the process, not a power cut. A disk that is full or read-only
never fails a request: lines then wait in memory, within bounds, and every loss is counted and said.
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

from billing.request_log.entry import LogEntry

log = logging.getLogger(__name__)

SPOOL = "spool"
NEW, LIVE, SEALED = ".new", ".live", ".sealed"
SEAL_SECONDS = 0.25
SEAL_LINES = 500
RETRY_SECONDS = 1.0
REJECTIONS_PER_SECOND = 10
SAY_SECONDS = 10.0

Schedule = Callable[[float, Callable[[], object]], object]
"""Calls a function after so many seconds, as `loop.call_later` does."""
_encode_into = msgspec.json.Encoder().encode_into


class Counters(msgspec.Struct):
    """What `/health/detailed` tells of the journal."""

    appended: int = 0
    waiting: int = 0
    """Lines in memory because the spool cannot be written."""
    lost: int = 0
    """Lines that did not fit in memory either, or could not be encoded."""
    unlisted: int = 0
    """Rejections of unauthenticated requests that were counted instead of written."""


class Journal:
    """Appends entries to segments in `directory`. Not for several threads at once: the event loop owns it."""

    def __init__(
        self, directory: Path, *, schedule: Schedule, buffer_size: int = 10_000, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`buffer_size` bounds the lines kept in memory while the spool cannot be written; `clock` is in seconds."""
        self.directory = directory
        self.counters = Counters()
        self._schedule = schedule
        self._clock = clock
        self._buffer_size = buffer_size
        self._waiting: deque[bytes] = deque()
        self._retrying = False
        self._line = bytearray()
        self._file: int | None = None
        self._path = Path()
        self._size = 0
        self._lines = 0
        self._gate = Gate(per_second=REJECTIONS_PER_SECOND)
        self._saying = False

    def append(self, entry: LogEntry, *, unauthenticated: bool = False) -> None:
        """Keep an entry. Never raises: when this returns, the entry is in the file, in memory, or counted as lost.

        Of unauthenticated requests, which anyone can send, only some a second are kept; the rest are counted.
        """
        if unauthenticated and not self._gate.lets_pass(self._clock()):
            self.counters.unlisted += 1
            self._say_unlisted_later()
            return
        try:
            _encode_into(entry, self._line)
        except (TypeError, ValueError, RecursionError):  # metadata that JSON cannot hold: a mistake of ours, not the client's
            self.counters.lost += 1
            log.exception("The entry of request %s cannot be written as JSON and is lost", entry.request_id)
            return
        self._line.append(0x0A)
        self.counters.appended += 1
        if self._waiting or not self._write(self._line):
            self._wait(bytes(self._line))

    def seal(self) -> None:
        """Close the current segment, if there is one, so that it is shipped."""
        if self._file is None:
            return
        file, self._file = self._file, None
        try:
            self._path.rename(self._path.with_suffix(SEALED))  # while locked: nobody takes it for a dead process's
        except OSError as error:
            log.error("The segment %s cannot be sealed (%s); it is taken up as one of a dead process", self._path, error)  # noqa: TRY400
        os.close(file)

    def close(self) -> None:
        """Write what waits, if the spool lets us, and seal. Lines that still wait are lost, and said to be."""
        self._drain()
        self.seal()
        if self._waiting:
            self.counters.lost += len(self._waiting)
            log.error("%d log entries are lost: the spool %s could not be written", len(self._waiting), self.directory)
            self._waiting.clear()
            self.counters.waiting = 0

    def _write(self, line: bytes | bytearray) -> bool:
        """Append one line to the segment, opening one if need be; False if the disk does not take it whole."""
        try:
            if self._file is None:
                self._open()
            assert self._file is not None
            written = os.write(self._file, line)
        except OSError as error:
            self._broken(str(error))
            return False
        if written < len(line):
            self._broken("the disk is full")
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
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # before it is called live: nobody can come between
            path.rename(path.with_suffix(LIVE))
        except OSError:
            os.close(file)
            raise
        self._file, self._path, self._size, self._lines = file, path.with_suffix(LIVE), 0, 0
        self._schedule(SEAL_SECONDS, functools.partial(self._seal_if, self._path))

    def _seal_if(self, path: Path) -> None:
        if self._file is not None and self._path == path:
            self.seal()

    def _broken(self, reason: str) -> None:
        """Give up the segment: cut off what was written of the last line and seal the rest."""
        if not self._waiting:
            log.error("The log spool %s cannot be written (%s); entries wait in memory", self.directory, reason)
        if self._file is None:
            return
        try:
            os.ftruncate(self._file, self._size)
        except OSError:
            log.exception("The torn line at the end of %s cannot be cut off", self._path)
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

    def _say_unlisted_later(self) -> None:
        if not self._saying:
            self._saying = True
            self._schedule(SAY_SECONDS, self._say_unlisted)

    def _say_unlisted(self) -> None:
        self._saying = False
        log.warning("Unauthenticated requests that were refused and not logged one by one, since the start: %d", self.counters.unlisted)


class Gate:
    """Lets at most `per_second` events of each second pass."""

    def __init__(self, *, per_second: int) -> None:
        self.per_second = per_second
        self._passed: deque[float] = deque(maxlen=per_second)

    def lets_pass(self, now: float) -> bool:
        """Whether fewer than `per_second` events have passed in the second before `now` (seconds)."""
        if len(self._passed) == self.per_second and now - self._passed[0] < 1.0:
            return False
        self._passed.append(now)
        return True


_current: Journal | None = None


def start(journal: Journal) -> Journal:
    """Make a journal the one of this process. Each web process starts its own."""
    global _current  # noqa: PLW0603  (one for each process, set where the process is wired)
    _current = journal
    return journal


def current() -> Journal:
    """The journal of this process. Raises RuntimeError before :func:`start`."""
    if _current is None:
        raise RuntimeError("The journal was not started.")
    return _current

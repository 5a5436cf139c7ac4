"""The spool directory for its readers: adopt the segments of killed processes, read complete segments, remove written ones."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import re
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from billing.request_log.journal import LIVE, NEW, SEALED
from billing.request_log.side_file import BODIES

log = logging.getLogger(__name__)

LOCK = ".lock"
QUARANTINE = "quarantine"
STALE_SECONDS = 60
_SEGMENT_NAME = re.compile(rf"[0-9a-f]{{32}}({re.escape(NEW)}|{re.escape(LIVE)}|{re.escape(SEALED)})")
_reported: set[Path] = set()
"""What this process has warned of: each path once."""


class Segment(NamedTuple):
    """A complete segment: its id (32 hex digits) and its lines, without their line ends."""

    id: str
    lines: list[bytes]


class Backlog(NamedTuple):
    """Complete segments that are not in the database yet, and the age of the oldest one in seconds."""

    segments: int
    seconds: float


class Spool:
    """The spool directory of this machine. Files in it may disappear at any time, because several processes read it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextlib.contextmanager
    def claimed(self, lock: str = "writer", *, wait: bool = False) -> Iterator[bool]:
        """Hold the lock of a name, which one process has at a time; yields whether we got it. With `wait`, waits until it is free."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self.directory / f"{lock}{LOCK}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            yield _locked(file, wait=wait)
        finally:
            os.close(file)

    def sealed(self) -> list[Path]:
        """Complete segments, oldest first."""
        return [path for _, path in sorted((modified, path) for path, modified in self._segments() if path.suffix == SEALED)]

    def adopt(self) -> int:
        """Seal the segments of processes that no longer exist, and remove files that they never wrote to; return the number sealed."""
        adopted = 0
        for path, modified in self._segments():
            try:
                if path.suffix == LIVE and _abandoned(path):
                    path.rename(path.with_suffix(SEALED))
                    adopted += 1
                elif path.suffix == NEW and time.time() - modified / 1e9 > STALE_SECONDS and _abandoned(path):
                    path.unlink()
            except FileNotFoundError:
                continue  # meanwhile sealed by its owner or adopted by another process
            except OSError as error:
                _report(path, f"%s cannot be adopted ({error.strerror}) and is left")
        return adopted

    def read(self, path: Path) -> Segment | None:
        """The lines of a complete segment, without an incomplete last one, whose request has no complete response.

        `None` if the file cannot be read; it stays, with a warning, and does not keep others from being written.
        """
        try:
            *lines, incomplete = path.read_bytes().split(b"\n")
        except OSError as error:
            _report(path, f"%s cannot be read ({error.strerror}); its log entries wait")
            return None
        if incomplete:
            log.warning("The last line of %s is incomplete (%d bytes): its process was killed while writing", path.name, len(incomplete))
        return Segment(path.stem, lines)

    def unwritten_lines(self, most: int) -> Iterator[list[bytes]]:
        """The complete lines of the newest segments, also of those that are still appended to; at most so many segments."""
        newest = sorted(((modified, path) for path, modified in self._segments()), reverse=True)[:most]
        for _, path in newest:
            content = self._content(path)
            if content is not None:
                yield content.split(b"\n")[:-1]

    def _content(self, path: Path) -> bytes | None:
        """The bytes of a segment, also if it was sealed since it was listed; `None` if it was written and removed."""
        for candidate in (path, path.with_suffix(SEALED)):
            try:
                return candidate.read_bytes()
            except FileNotFoundError:
                continue
        return None

    def backlog(self) -> Backlog:
        """What waits to be written to the database."""
        waiting = [modified for path, modified in self._segments() if path.suffix == SEALED]
        return Backlog(len(waiting), max(0.0, time.time() - min(waiting) / 1e9) if waiting else 0.0)

    def remove(self, path: Path) -> None:
        """Remove a segment that is in the database."""
        path.unlink(missing_ok=True)

    def quarantine(self, segment_id: str, lines: list[tuple[bytes, str]]) -> None:
        """Write lines that cannot become rows to `quarantine/<segment id>.jsonl`, each after a comment with the reason.

        The file of the same segment is overwritten.
        """
        folder = self.directory / QUARANTINE
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{segment_id}.jsonl"
        content = b"".join(b"# " + b" ".join(reason.encode().split()) + b"\n" + line + b"\n" for line, reason in lines)
        draft = path.with_suffix(".draft")
        draft.write_bytes(content)
        draft.rename(path)
        log.error("%d lines of segment %s are not valid log entries and were written to %s", len(lines), segment_id, path)

    def _segments(self) -> Iterator[tuple[Path, int]]:
        """The segments with the time of their last change in nanoseconds. Anything else in the directory is ignored, with one warning."""
        for name in self._names():
            path = self.directory / name
            if _SEGMENT_NAME.fullmatch(name):
                try:
                    status = path.lstat()
                except FileNotFoundError:
                    continue  # meanwhile renamed or removed
                if stat.S_ISREG(status.st_mode):
                    yield path, status.st_mtime_ns
                    continue
            elif name == QUARANTINE or name.endswith((LOCK, BODIES)):
                continue
            _report(path, "%s is not a segment of the log and is ignored")

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.directory)  # noqa: PTH208  (faster than Path objects; called several times a second)
        except FileNotFoundError:
            return []


def _report(path: Path, message: str) -> None:
    if path not in _reported:
        _reported.add(path)
        log.warning(message, path)


def _abandoned(path: Path) -> bool:
    """Whether no process holds the lock of a segment's owner. Raises FileNotFoundError if the file is gone."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return _locked(file, wait=False)
    finally:
        os.close(file)


def _locked(file: int, *, wait: bool) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

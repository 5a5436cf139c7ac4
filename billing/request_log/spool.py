"""The folder of segments, seen from the side that takes them: adopt those of the dead, read the complete ones, remove them."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from billing.request_log.journal import LIVE, NEW, SEALED

log = logging.getLogger(__name__)

LOCK = ".lock"
QUARANTINE = "quarantine"
STALE_SECONDS = 60


class Segment(NamedTuple):
    """A complete segment: its id (32 hex digits) and its lines, without their line ends."""

    id: str
    lines: list[bytes]


class Spool:
    """The spool directory of this machine. Everything in it may vanish at any moment: another process may take it, too."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @contextlib.contextmanager
    def claimed(self, lock: str = "writer", *, wait: bool = False) -> Iterator[bool]:
        """Be the only one who does what `lock` names; yields whether we are. `wait` until the other one is done."""
        self.directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = os.open(self.directory / f"{lock}{LOCK}", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        try:
            yield _locked(file, wait=wait)
        finally:
            os.close(file)

    def sealed(self) -> list[Path]:
        """Complete segments, oldest first."""
        found = []
        for name in self._names():
            if name.endswith(SEALED):
                path = self.directory / name
                with contextlib.suppress(FileNotFoundError):
                    found.append((path.stat().st_mtime_ns, path))
        return [path for _, path in sorted(found)]

    def adopt(self) -> int:
        """Seal the segments whose process is gone, and remove files that it never began to fill; the number sealed."""
        adopted = 0
        for name in self._names():
            path = self.directory / name
            try:
                if name.endswith(LIVE) and _abandoned(path):
                    path.rename(path.with_suffix(SEALED))
                    adopted += 1
                elif name.endswith(NEW) and time.time() - path.stat().st_mtime > STALE_SECONDS and _abandoned(path):
                    path.unlink()
            except FileNotFoundError:
                continue  # sealed by its owner, or taken by another process, while we looked
        return adopted

    def read(self, path: Path) -> Segment:
        """The lines of a complete segment. A torn last line belongs to a request that was not answered in full. Raises OSError."""
        *lines, torn = path.read_bytes().split(b"\n")
        if torn:
            log.warning("The last line of %s is torn (%d bytes): its process was killed while writing", path.name, len(torn))
        return Segment(path.stem, lines)

    def remove(self, path: Path) -> None:
        """Remove a segment that is in the database."""
        path.unlink(missing_ok=True)

    def quarantine(self, segment_id: str, lines: list[tuple[bytes, str]]) -> None:
        """Set lines aside that cannot become rows, each behind the reason why. Taking the segment again overwrites its file."""
        folder = self.directory / QUARANTINE
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = folder / f"{segment_id}.jsonl"
        content = b"".join(b"# " + b" ".join(reason.encode().split()) + b"\n" + line + b"\n" for line, reason in lines)
        draft = path.with_suffix(".draft")
        draft.write_bytes(content)
        draft.rename(path)
        log.error("%d lines of segment %s are no log entries and were set aside in %s", len(lines), segment_id, path)

    def _names(self) -> list[str]:
        try:
            return os.listdir(self.directory)  # noqa: PTH208  (names are all we need, several times a second)
        except FileNotFoundError:
            return []


def _abandoned(path: Path) -> bool:
    """Whether nobody holds the lock that a living owner holds. Raises FileNotFoundError if the file is gone."""
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

"""Numbers that the processes of this machine share: each writes a file of its own, and any of them can read all.

In the directory ``metrics`` of the data directory, a process has two files: ``<id>.values``, an array of 64-bit floats that it maps into
its memory, and ``<id>.series``, a line of JSON for each series with its place in the array. The first is locked (flock) as
long as its process lives. A process that has ended leaves its counters, so that sums never fall until the gateway starts again.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import uuid
from array import array
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec

DIRECTORY = "metrics"
VALUES, SERIES = ".values", ".series"
MAX_VALUES = 65_536
"""Values of one process; the file has holes where none are used. Series beyond that are not counted."""
BYTES = 8

Kind = Literal["counter", "gauge", "histogram"]


class Series(msgspec.Struct, frozen=True):
    """A named number with labels, or a histogram: the counts of its buckets, that of larger values, and the sum of all values.

    ``start``: the place of its first value. ``bounds``: the inclusive upper bounds of the buckets.
    """

    kind: Kind
    name: str
    labels: dict[str, str]
    start: int
    bounds: tuple[float, ...] = ()

    @property
    def length(self) -> int:
        """The number of its values."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


_encode = msgspec.json.encode
_decoder = msgspec.json.Decoder(Series)


class OwnValues:
    """The file of this process. ``values[place]`` may be changed at any time; a place is that of :meth:`add`."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = directory / f"{uuid.uuid4().hex}{VALUES}"
        self._file = os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        os.ftruncate(self._file, MAX_VALUES * BYTES)
        self.values = memoryview(mmap.mmap(self._file, MAX_VALUES * BYTES)).cast("d")
        self._series = os.open(path.with_suffix(SERIES), os.O_CREAT | os.O_APPEND | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        self._next = 1
        """Place 0 takes what has no place of its own."""

    def add(self, kind: Kind, name: str, labels: dict[str, str] | None = None, bounds: tuple[float, ...] = ()) -> int:
        """A new series; returns its place. The caller adds each series once. Without room: a place that nobody reads."""
        series = Series(kind, name, labels or {}, self._next, bounds)
        if self._next + series.length > MAX_VALUES:
            return 0 if kind != "histogram" else MAX_VALUES - series.length
        self._next += series.length
        os.write(self._series, _encode(series) + b"\n")
        return series.start

    def close(self) -> None:
        """Let others see that this process has ended."""
        fcntl.flock(self._file, fcntl.LOCK_UN)  # the map has a copy of the descriptor
        os.close(self._series)
        os.close(self._file)


def read_all(directory: Path) -> Iterator[tuple[Series, list[float], bool]]:
    """Every series of every process with its values, and whether its process lives."""
    for path in sorted(directory.glob(f"*{VALUES}")):
        try:
            lines = path.with_suffix(SERIES).read_bytes().split(b"\n")[:-1]
            series = [_decoder.decode(line) for line in lines]
            with path.open("rb") as file:
                content = array("d", file.read(max((one.start + one.length for one in series), default=0) * BYTES))
            is_alive = _is_locked(path)
        except FileNotFoundError:
            continue  # of a process that is starting, or removed meanwhile
        for one in series:
            yield one, content[one.start : one.start + one.length].tolist(), is_alive


def clear(directory: Path) -> None:
    """Remove the files of processes that have ended: a start of the gateway counts from zero."""
    for path in directory.glob(f"*{VALUES}"):
        if not _is_locked(path):
            path.unlink(missing_ok=True)
            path.with_suffix(SERIES).unlink(missing_ok=True)


def _is_locked(path: Path) -> bool:
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False

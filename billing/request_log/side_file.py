"""The side file of a segment, `<segment id>.bodies`: the captured bodies of its requests. Free of Django, as the journal is.

They do not travel in the lines of the journal, which stay small and go through the broker. A line of a side file is in it before
the line of its request is in the segment.
"""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from billing.request_log.entry import PayloadEntry

BODIES = ".bodies"
"""The suffix of side files."""


class PayloadLine(msgspec.Struct, kw_only=True, omit_defaults=True):
    """The bodies of one request: id and time of its log row (microseconds)."""

    log_id: str
    timestamp: int
    payload: PayloadEntry


_encode = msgspec.json.Encoder().encode


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

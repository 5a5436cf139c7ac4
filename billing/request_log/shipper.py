"""With a broker: sends this machine's segments to the workers until their rows are in the database.

The file of a segment is removed only when its id is in `CommittedSegment`. If it is not there after a minute, the segment is sent again:
the broker or a worker may have lost it, and writing it twice makes no second row. It may also still wait in the broker, so the pause
doubles after each time, and at most :data:`MAX_IN_FLIGHT` segments are sent and unconfirmed; the others wait in the spool.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from django.db import DatabaseError, InterfaceError, connection
from kombu.exceptions import OperationalError

from accounts.common.outage_log import Outage
from billing.models import CommittedSegment
from billing.request_log import payload_files
from billing.request_log.spool import Segment, Spool

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
CONFIRM_SECONDS = 1.0
RESEND_SECONDS = 60.0
MAX_RESEND_SECONDS = 600.0
"""Limits how often segments are sent to a broker without workers, and how long messages that a broker lost are missing."""
MAX_IN_FLIGHT = 200
"""The most segments that are sent but not committed. Workers that are fast enough confirm as many in a second."""
STOP_SECONDS = 5.0
LOCK = "shipper"
"""The name of the shipper's lock; the writer has another one, so that both can work at the same time."""

Send = Callable[[Segment], object]


class SentSegment(NamedTuple):
    """When a segment is due to be sent again (clock value in seconds), and the pause before that in seconds."""

    resend_at: float
    pause: float


class Shipper:
    """Sends the segments of a spool. Of the shippers of one spool, the one that holds the lock works; the others wait for it."""

    def __init__(self, directory: Path, send: Send, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._spool = Spool(directory)
        self._send = send
        self._clock = clock
        self._sent: dict[Path, SentSegment] = {}
        self._confirmed_at = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._broker = Outage(
            log, failed="Log segments cannot be sent to the broker: %s", recovered="Log segments are sent to the broker again"
        )
        self._database = Outage(
            log,
            failed="The database cannot be asked which log segments are written: %s",
            recovered="The database can be asked again which log segments are written",
        )

    def start(self) -> None:
        """Start a thread for it: calls of the broker and the database may block."""
        self._thread = threading.Thread(target=self._run, name="pxbin-shipper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send what is sealed by now and end the thread, within :data:`STOP_SECONDS`.

        Segments that the workers have not written yet are left for the next start; the number of unsent ones is logged.
        """
        self._stopping.set()
        if self._thread is None:
            return
        self._thread.join(STOP_SECONDS)  # the thread may block for longer in a call of a broker that does not answer
        unsent = [path for path in self._spool.sealed() if path not in self._sent]
        if unsent:
            log.warning("%d segments of the log were not sent; they stay in the spool until the next start", len(unsent))

    def ship(self) -> None:
        """One round: adopt, send new segments, remove committed ones, send again those that are due.

        Raises kombu's OperationalError, OSError, and Django's DatabaseError and InterfaceError.
        """
        self._spool.adopt()
        now = self._clock()
        waiting = self._spool.sealed()
        self._sent = {path: self._sent[path] for path in waiting if path in self._sent}
        new = [path for path in waiting if path not in self._sent]
        for path in new:
            if len(self._sent) >= MAX_IN_FLIGHT:
                break
            self._send_segment(path, now=now, pause=RESEND_SECONDS)
        if self._sent and now - self._confirmed_at >= CONFIRM_SECONDS:
            self._confirmed_at = now
            self._remove_committed()
            for path, sending in list(self._sent.items()):
                if now >= sending.resend_at:
                    self._send_segment(path, now=now, pause=min(2 * sending.pause, MAX_RESEND_SECONDS))

    def _send_segment(self, path: Path, *, now: float, pause: float) -> None:
        segment = self._spool.read(path)
        if segment is None:
            return
        self._send(segment)
        self._sent[path] = SentSegment(now + pause, pause)
        self._broker.report_success()

    def _remove_committed(self) -> None:
        by_id = {path.stem: path for path in self._sent}
        for segment_id in CommittedSegment.objects.filter(id__in=list(by_id)).values_list("id", flat=True):
            path = by_id[segment_id.hex]
            payload_files.store(path)
            self._spool.remove(path)
            del self._sent[path]
        self._database.report_success()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._spool.claimed(LOCK) as is_ours:
                while is_ours:
                    self._try_to_ship()
                    if self._stopping.wait(POLL_SECONDS):
                        self._try_to_ship()
                        break
            self._stopping.wait(POLL_SECONDS)
        connection.close()

    def _try_to_ship(self) -> None:
        try:
            self.ship()
        except (OperationalError, OSError) as error:
            self._broker.report_failure(error)
            self._stopping.wait(1.0)
        except (DatabaseError, InterfaceError) as error:
            self._database.report_failure(error)
            connection.close()
            self._stopping.wait(1.0)

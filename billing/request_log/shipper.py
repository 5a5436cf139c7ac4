"""With a broker: send this machine's segments to the workers, wherever they are, until their rows are in the database.

A segment's file goes only when its id is found committed. What is found missing after a minute is sent again: the broker or a
worker may have lost it, and writing twice is writing once. It may also still wait in the broker for a worker, so the pauses
double, and only so many segments are under way at once; the others wait in the spool.
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
from billing.request_log.spool import Segment, Spool

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.25
CONFIRM_SECONDS = 1.0
AGAIN_SECONDS = 60.0
AGAIN_SECONDS_MOST = 600.0
"""Bounds what waits in a broker without workers, and the time until a broker that has lost its messages gets them again."""
UNDER_WAY = 200
"""Segments that are sent and not found committed, at most. Workers that keep up confirm as many in a second."""
STOP_SECONDS = 5.0
LOCK = "shipper"
"""Another lock than that of who empties the spool into the database: both may be at it, and may wait for each other's end."""

Send = Callable[[Segment], object]


class Sending(NamedTuple):
    """When a segment is due again, by the clock, and the pause before that in seconds."""

    again_at: float
    pause: float


class Shipper:
    """Ships a spool's segments. Of the shippers on one spool, one works and the others stand by."""

    def __init__(self, directory: Path, send: Send, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._spool = Spool(directory)
        self._send = send
        self._clock = clock
        self._sent: dict[Path, Sending] = {}
        self._confirmed_at = 0.0
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._broker = Outage(log, away="The log's segments cannot be sent now: %s", back="The log's segments are sent again")
        self._database = Outage(
            log,
            away="The database does not say which segments are written: %s",
            back="The database says again which segments are written",
        )

    def start(self) -> None:
        """Ship from a thread of its own: brokers and databases may take their time."""
        self._thread = threading.Thread(target=self._run, name="pxbin-shipper", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Send what is sealed by now, and end, within :data:`STOP_SECONDS`.

        What the workers have not written yet is left to the next start; what could not even be sent is mentioned.
        """
        self._stopping.set()
        if self._thread is None:
            return
        self._thread.join(STOP_SECONDS)  # a broker that is connected but silent may hold it for longer
        unsent = [path for path in self._spool.sealed() if path not in self._sent]
        if unsent:
            log.warning("%d segments of the log were not sent and stay in the spool; they are taken up later", len(unsent))

    def ship(self) -> None:
        """Look once: adopt, send what is new, remove what is committed, send again what is due and is not.

        Raises what the broker or database raises.
        """
        self._spool.adopt()
        now = self._clock()
        waiting = self._spool.sealed()
        self._sent = {path: self._sent[path] for path in waiting if path in self._sent}
        new = [path for path in waiting if path not in self._sent]
        for path in new[: UNDER_WAY - len(self._sent)]:
            self._hand_over(path, now=now, pause=AGAIN_SECONDS)
        if self._sent and now - self._confirmed_at >= CONFIRM_SECONDS:
            self._confirmed_at = now
            self._remove_committed()
            for path, sending in list(self._sent.items()):
                if now >= sending.again_at:
                    self._hand_over(path, now=now, pause=min(2 * sending.pause, AGAIN_SECONDS_MOST))

    def _hand_over(self, path: Path, *, now: float, pause: float) -> None:
        self._send(self._spool.read(path))
        self._sent[path] = Sending(now + pause, pause)
        self._broker.is_over()

    def _remove_committed(self) -> None:
        by_id = {path.stem: path for path in self._sent}
        for found in CommittedSegment.objects.filter(id__in=list(by_id)).values_list("id", flat=True):
            path = by_id[found.hex]
            self._spool.remove(path)
            del self._sent[path]
        self._database.is_over()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._spool.claimed(LOCK) as ours:
                while ours:
                    self._attempt()
                    if self._stopping.wait(LOOK_SECONDS):
                        self._attempt()
                        break
            self._stopping.wait(LOOK_SECONDS)
        connection.close()

    def _attempt(self) -> None:
        try:
            self.ship()
        except (OperationalError, OSError) as error:
            self._broker.goes_on(error)
            self._stopping.wait(1.0)
        except (DatabaseError, InterfaceError) as error:
            self._database.goes_on(error)
            connection.close()
            self._stopping.wait(1.0)

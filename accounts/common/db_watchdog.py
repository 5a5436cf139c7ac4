"""End a thread's wait for a PostgreSQL that says nothing.

A server behind a dropped route never answers, and of one that is frozen the kernel still acknowledges what comes: the driver
would wait without end. When the socket is shut down from outside, the wait ends with an error.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

logger = logging.getLogger("pxbin.silence")


class Watchdog:
    """How long one thread's ``database`` (Django's wrapper of a connection) may say nothing in a :meth:`step`. Others have no limit."""

    def __init__(self, database: Any, seconds: float) -> None:
        self.database = database
        self._seconds = seconds
        self._heard: float | None = None
        self._ended = threading.Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Keep watch from another thread meanwhile."""
        if self.database.vendor != "postgresql":  # a file always answers
            yield
            return
        thread = threading.Thread(target=self._watch, name="pxbin-patience", daemon=True)
        thread.start()
        try:
            with self.database.execute_wrapper(self._query):
                yield
        finally:
            self._ended.set()
            thread.join()

    @contextmanager
    def step(self) -> Iterator[None]:
        """Something that asks the database; raises its error when it says nothing for too long."""
        self._heard = time.monotonic()
        try:
            yield
        finally:
            self._heard = None

    def _query(self, execute: Callable[..., Any], *asked: Any) -> Any:
        """Each query of a step has its own time."""
        self._heard = time.monotonic()
        try:
            return execute(*asked)
        finally:
            self._heard = time.monotonic()

    def _watch(self) -> None:
        while not self._ended.wait(self._seconds / 5):
            heard = self._heard
            if heard is not None and time.monotonic() - heard > self._seconds:
                logger.warning("the database has said nothing for %g s, its connections are given up", self._seconds)
                self._heard = None
                self._cut()

    def _cut(self) -> None:
        """Those that rest in the pool are probably no better."""
        self.database.pool.drain()
        driver = self.database.connection
        with suppress(OSError, self.database.Database.Error):  # it has just ended by itself
            if driver is not None:
                with socket.socket(fileno=os.dup(driver.pgconn.socket)) as line:
                    line.shutdown(socket.SHUT_RDWR)

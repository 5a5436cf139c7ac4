"""A read timeout for PostgreSQL: libpq has none.

A server behind a dropped route never answers, and for a frozen server the kernel still acknowledges packets, so the driver
would wait without end. When another thread shuts the socket down, the wait ends with an error.
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

logger = logging.getLogger("pxbin.db_watchdog")


class Watchdog:
    """Shuts down a connection's socket when PostgreSQL has not answered for ``seconds``.

    ``database`` is Django's wrapper of one thread's connection. Inside :meth:`running`, a thread checks the time; only what the
    other thread does inside :meth:`watching` is limited.
    """

    def __init__(self, database: Any, seconds: float) -> None:
        self.database = database
        self._seconds = seconds
        self._last_answer: float | None = None
        """Monotonic time of the last answer, or of the start; None outside of :meth:`watching`."""
        self._ended = threading.Event()

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the watching thread. Databases other than PostgreSQL are not watched: a file always answers."""
        if self.database.vendor != "postgresql":
            yield
            return
        thread = threading.Thread(target=self._watch, name="pxbin-db-watchdog", daemon=True)
        thread.start()
        try:
            with self.database.execute_wrapper(self._execute):
                yield
        finally:
            self._ended.set()
            thread.join()

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Limit the wait for the database inside this block, which then raises the database's error."""
        self._last_answer = time.monotonic()
        try:
            yield
        finally:
            self._last_answer = None

    def _execute(self, execute: Callable[..., Any], *arguments: Any) -> Any:
        """Wrapper of each query: the limit starts again before and after it."""
        self._last_answer = time.monotonic()
        try:
            return execute(*arguments)
        finally:
            self._last_answer = time.monotonic()

    def _watch(self) -> None:
        while not self._ended.wait(self._seconds / 5):
            last_answer = self._last_answer
            if last_answer is not None and time.monotonic() - last_answer > self._seconds:
                logger.warning("the database has not answered for %g s; its connections are closed", self._seconds)
                self._last_answer = None
                self._shut_down()

    def _shut_down(self) -> None:
        """Close the pool's idle connections, which probably do not answer either, and shut down the socket in use."""
        self.database.pool.drain()
        driver = self.database.connection
        with suppress(OSError, self.database.Database.Error):  # the connection may have ended meanwhile
            if driver is not None:
                with socket.socket(fileno=os.dup(driver.pgconn.socket)) as line:
                    line.shutdown(socket.SHUT_RDWR)

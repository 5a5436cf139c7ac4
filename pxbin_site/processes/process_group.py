"""The processes of a gateway after its start: web processes on one socket, the Celery process, and their replacement at SIGHUP."""

from __future__ import annotations

import logging
import signal
import socket
import threading
from collections.abc import Callable

from pxbin_site.processes.supervisor import ChildProcess

logger = logging.getLogger("pxbin.serve")

READY_SECONDS = 30.0
"""Longest wait for a new web process at a reload; without it, the old ones go on."""
STOP_MARGIN_SECONDS = 5.0
"""How long a web process may take beyond its drain."""
StartChild = Callable[..., ChildProcess]
"""Starts a child process with the arguments of :class:`ChildProcess`; it is stopped at the end."""


class ProcessGroup:
    """The children of `serve`, and its own server as long as it serves.

    A reload replaces one web process after the other: the new one accepts connections before the old one stops to, and an old one
    exits after its last response. The server of this process is replaced by a child; this process then only watches.
    """

    def __init__(self, listening: socket.socket, start_child: StartChild, worker: ChildProcess | None) -> None:
        """``listening`` is shared by all web processes; it is closed by :meth:`begin_stop`."""
        self.worker = worker
        self._listening = listening
        self._start_child = start_child
        self._web: list[ChildProcess] = []
        self._retired: list[ChildProcess] = []
        self._serves_itself = True
        self._reloading = threading.Lock()
        self._stop = threading.Event()
        listening.set_inheritable(True)

    def start_web(self, number: int) -> None:
        """Start so many web processes beside this one."""
        self._web += [self._new_web() for _ in range(number)]

    def _new_web(self) -> ChildProcess:
        descriptor = self._listening.fileno()
        return self._start_child("web", f"--fd={descriptor}", pass_fds=(descriptor,))

    def request_reload(self) -> None:
        """Reload in a thread: called by the handler of SIGHUP."""
        threading.Thread(target=self.reload, name="reload", daemon=True).start()

    def reload(self) -> None:
        """Replace all processes. A second reload at the same time is ignored."""
        if not self._reloading.acquire(blocking=False):
            logger.warning("A reload is under way; this one is ignored")
            return
        try:
            logger.warning("Reloading: new processes are started, running responses finish in the old ones")
            if self._replace_web():
                self._replace_worker()
                logger.warning("Reloaded")
        finally:
            self._reloading.release()

    def _replace_web(self) -> bool:
        for old in [None, *self._web] if self._serves_itself else list(self._web):
            new = self._new_web()
            if not new.wait_ready(READY_SECONDS):
                logger.error("A new web process is not ready after %g s; the reload has ended, the old processes go on", READY_SECONDS)
                new.stop()
                return False
            self._web.append(new)
            if old is None:
                self._retire_own()
            else:
                self._web.remove(old)
                self._retired = [retired for retired in self._retired if not retired.has_exited]
                self._retired.append(old)
                old.retire()
            if self._stop.is_set():
                return False
        return True

    def _retire_own(self) -> None:
        from pxbin_site.server import daphne_server

        self._serves_itself = False
        daphne_server.retire()

    def _replace_worker(self) -> None:
        """One Celery process at a time: its scheduler may run once only. Meanwhile rows wait in the spool, or in Redis."""
        if self.worker is not None:
            self.worker.stop()
            self.worker = self._start_child("work", "--with-parent")

    @property
    def serves_itself(self) -> bool:
        """Whether this process is a web process."""
        return self._serves_itself

    def begin_stop(self) -> None:
        """Let all web processes stop at the same time. Nobody accepts connections any more."""
        self._stop.set()
        self._listening.close()
        for child in [*self._web, *self._retired]:
            child.begin_stop()

    def watch(self, on_hangup: Callable[[], object]) -> None:
        """After this process has ceased to serve: wait for SIGTERM or SIGINT; SIGHUP calls ``on_hangup``."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self._stop.set())
        signal.signal(signal.SIGHUP, lambda *_: on_hangup())
        while not self._stop.wait(1.0):
            pass

    def stop(self, drain_seconds: float) -> None:
        """Stop the web processes, all at the same time, and then the Celery process, which writes the rows of their last requests."""
        self.begin_stop()
        for child in [*self._web, *self._retired]:
            child.stop(seconds=drain_seconds + STOP_MARGIN_SECONDS)
        if self.worker is not None:
            self.worker.stop()

"""Processes beside the first one: children that are watched, replaced when they die, and that do not outlive their parent.

A child's standard input is one end of a line to its parent. Along it the parent tells a child that was started early to go on,
and the child tells when it is ready. It ends when the parent does, however that ends, and then the child finishes what it has
and goes. Signals of the terminal do not reach it: the parent decides when it stops.
"""

import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger("pxbin.background")

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
RESTART_SECONDS = 1.0
STOP_SECONDS = 20.0
LOOK_SECONDS = 0.05
GO, READY = b"g", b"r"
LINE = 0
"""The child's end is its standard input."""


class ChildProcess:
    """One `manage.py` command in a process of its own."""

    def __init__(self, *words: str, pass_fds: tuple[int, ...] = (), held: bool = False) -> None:
        """`held`: it loads what it needs and then waits for :meth:`release`."""
        self.words = words
        self._pass_fds = pass_fds
        self._released = not held
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._spawn()
        self._watcher = threading.Thread(target=self._watch, name=f"watch {words[0]}", daemon=True)
        self._watcher.start()

    def _spawn(self) -> None:
        with self._starting:
            self._line, theirs = socket.socketpair()
            # Not through the shell, and with our own interpreter and script: nothing here comes from outside.
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, str(MANAGE), *self.words],
                stdin=theirs.fileno(),
                start_new_session=True,
                pass_fds=self._pass_fds,
            )
            theirs.close()
            if self._released:
                self._line.send(GO)

    def _watch(self) -> None:
        """Start the command again whenever it ends by itself."""
        while True:
            status = self._process.wait()
            if self._stopping.is_set():
                return
            logger.error("`manage.py %s` ended with status %s and is started again", self.words[0], status)
            if self._stopping.wait(RESTART_SECONDS):
                return
            self._line.close()
            self._spawn()

    def release(self) -> None:
        """Let a held child go on."""
        with self._starting:
            self._released = True
            try:
                self._line.send(GO)
            except OSError:
                logger.debug("`manage.py %s` has ended already; the next one will not wait", self.words[0])

    def wait_ready(self, seconds: float) -> bool:
        """Wait until the child says that it is ready; False if it does not within `seconds`."""
        deadline = time.monotonic() + seconds
        while (rest := deadline - time.monotonic()) > 0:
            line = self._line
            try:
                line.settimeout(rest)
                if line.recv(1) == READY:
                    return True
            except OSError:  # the time is over, or the child is gone and another one is about to start
                logger.debug("`manage.py %s` is not ready", self.words[0])
            if self._stopping.wait(LOOK_SECONDS):
                break
        return False

    def stop(self, *, seconds: float = STOP_SECONDS) -> None:
        """Let it finish what it has, and wait until it has ended; kill it when that takes longer than `seconds`."""
        self._stopping.set()
        with self._starting:
            process = self._process
            try:
                self._line.shutdown(socket.SHUT_WR)
            except OSError:
                logger.debug("`manage.py %s` has ended already", self.words[0])
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            logger.error("`manage.py %s` did not end within %s s and is killed", self.words[0], seconds)  # noqa: TRY400
            process.kill()
            process.wait()
        self._line.close()


# In a child.


def released() -> bool:
    """Wait until the parent says to go on; False when it has ended instead."""
    return _read() == GO


def say_ready() -> None:
    """Tell the parent that the work can begin."""
    try:
        os.write(LINE, READY)
    except OSError:
        logger.debug("nobody waits for this process to be ready")


def when_parent_ends(do: Callable[[], object]) -> None:
    """Call `do`, in a thread, when the line to the parent ends."""

    def wait() -> None:
        while _read():
            pass
        do()

    threading.Thread(target=wait, name="wait for the parent", daemon=True).start()


def _read() -> bytes:
    try:
        return os.read(LINE, 1)
    except ConnectionResetError:  # the parent was killed before it had read everything that we wrote
        return b""

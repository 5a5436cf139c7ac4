"""Child processes that are restarted when they exit, and that exit when their parent does.

A child's standard input is one end of a socket pair. The parent sends `GO` to a child that waits to be released; the child
sends `READY`. A web process that gets `RETIRE` accepts nothing more and exits after its last response. When the parent exits, however
it does, the child reads the end of the stream, completes its work and exits.
A child has a session of its own, so signals from the terminal do not reach it: the parent decides when it stops.
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

logger = logging.getLogger("pxbin.supervisor")

MANAGE = Path(__file__).resolve().parents[2] / "manage.py"
COMMAND = [str(MANAGE)] if MANAGE.exists() else ["-m", "pxbin_site"]
"""The arguments of the interpreter: a checkout's script, from whatever directory it runs, or the installed package."""
RESTART_SECONDS, MAX_RESTART_SECONDS = 1.0, 30.0
"""Pause before a child is started again; it doubles each time, until a child has lived for `HEALTHY_SECONDS`."""
HEALTHY_SECONDS = 60.0
STOP_SECONDS = 20.0
RETRY_SECONDS = 0.05
GO, READY, RETIRE = b"g", b"r", b"d"
PARENT_FD = 0
"""The child's end of the socket pair is its standard input."""


class ChildProcess:
    """One `manage.py` command in a process of its own."""

    def __init__(self, *arguments: str, pass_fds: tuple[int, ...] = (), held: bool = False) -> None:
        """Start `manage.py` with `arguments`. `held`: the child loads its modules and then waits for :meth:`release`."""
        self.arguments = arguments
        self._pass_fds = pass_fds
        self._released = not held
        self._stopping = threading.Event()
        self._starting = threading.Lock()
        self._channel, self._process = self._spawned()
        self._watcher = threading.Thread(target=self._watch, name=f"watch {arguments[0]}", daemon=True)
        self._watcher.start()

    def _spawned(self) -> tuple[socket.socket, subprocess.Popen[bytes]]:
        """Start the command: our end of its socket pair, and the process."""
        channel, child_end = socket.socketpair()
        # No shell, and our own interpreter and script: no argument comes from outside.
        process = subprocess.Popen(  # noqa: S603
            [sys.executable, *COMMAND, *self.arguments],
            stdin=child_end.fileno(),
            start_new_session=True,
            pass_fds=self._pass_fds,
        )
        child_end.close()
        if self._released:
            channel.send(GO)
        return channel, process

    def _watch(self) -> None:
        """Restart the command whenever it exits without :meth:`stop` and :meth:`retire`."""
        pause = RESTART_SECONDS
        while True:
            started = time.monotonic()
            status = self._process.wait()
            if self._stopping.is_set():
                return
            if time.monotonic() - started >= HEALTHY_SECONDS:
                pause = RESTART_SECONDS
            logger.error("`manage.py %s` exited with status %s and is restarted in %g s", self.arguments[0], status, pause)
            if self._stopping.wait(pause):
                return
            pause = min(2 * pause, MAX_RESTART_SECONDS)
            self._channel.close()
            with self._starting:
                self._channel, self._process = self._spawned()

    def release(self) -> None:
        """Let a held child continue; its replacements are not held."""
        with self._starting:
            self._released = True
            try:
                self._channel.send(GO)
            except OSError:
                logger.debug("`manage.py %s` has already exited; its replacement will not wait", self.arguments[0])

    def wait_ready(self, seconds: float) -> bool:
        """Wait until the child reports that it is ready; False if it does not within `seconds`."""
        deadline = time.monotonic() + seconds
        while (remaining := deadline - time.monotonic()) > 0:
            channel = self._channel
            try:
                channel.settimeout(remaining)
                if channel.recv(1) == READY:
                    return True
            except OSError:  # time-out, or the child has exited and its replacement is about to start
                logger.debug("`manage.py %s` is not ready", self.arguments[0])
            if self._stopping.wait(RETRY_SECONDS):
                break
        return False

    def retire(self) -> None:
        """Let a web process exit after its last response, however long that takes; it is not started again."""
        self._stopping.set()
        with self._starting:
            try:
                self._channel.send(RETIRE)
            except OSError:
                logger.debug("`manage.py %s` has already exited", self.arguments[0])

    @property
    def has_exited(self) -> bool:
        """Whether the process does not run."""
        return self._process.poll() is not None

    def begin_stop(self) -> None:
        """Tell the child to exit; :meth:`stop` waits for it."""
        self._stopping.set()
        with self._starting:
            try:
                self._channel.shutdown(socket.SHUT_WR)
            except OSError:
                logger.debug("`manage.py %s` has already exited", self.arguments[0])

    def stop(self, *, seconds: float = STOP_SECONDS) -> None:
        """Tell the child to exit and wait; kill it if that takes longer than `seconds`."""
        self.begin_stop()
        process = self._process
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            logger.error("`manage.py %s` did not exit within %s s and is killed", self.arguments[0], seconds)  # noqa: TRY400
            process.kill()
            process.wait()
        self._channel.close()


# Called in a child.


def wait_for_release() -> bool:
    """Wait for :meth:`ChildProcess.release`; False if the parent has exited instead."""
    return _read() == GO


def report_ready() -> None:
    """Tell the parent that this process is ready."""
    try:
        os.write(PARENT_FD, READY)
    except OSError:
        logger.debug("The parent has exited; nobody waits for this process")


def on_parent_exit(callback: Callable[[], object], *, on_retire: Callable[[], object] | None = None) -> None:
    """Call `callback` in a thread when the parent stops this process or exits, and `on_retire` when it shall retire."""

    def wait() -> None:
        while message := _read():
            if message == RETIRE and on_retire is not None:
                on_retire()
        callback()

    threading.Thread(target=wait, name="wait for the parent", daemon=True).start()


def _read() -> bytes:
    try:
        return os.read(PARENT_FD, 1)
    except ConnectionResetError:  # the parent was killed before it had read our bytes
        return b""

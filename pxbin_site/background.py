"""Processes beside the first one: children that are watched, replaced when they die, and that do not outlive their parent.

A child has a pipe from its parent as standard input. The pipe ends when the parent does, however that ends, and then the
child finishes what it has and goes. Signals of the terminal do not reach it: the parent decides when it stops.
"""

import logging
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

logger = logging.getLogger("pxbin.background")

MANAGE = Path(__file__).resolve().parent.parent / "manage.py"
RESTART_SECONDS = 1.0
STOP_SECONDS = 20.0


class Child:
    """One `manage.py` command in a process of its own."""

    def __init__(self, *words: str, pass_fds: tuple[int, ...] = ()) -> None:
        self.words = words
        self._pass_fds = pass_fds
        self._stopping = threading.Event()
        self._process = self._spawn()
        self._watcher = threading.Thread(target=self._watch, name=f"watch {words[0]}", daemon=True)
        self._watcher.start()

    def _spawn(self) -> subprocess.Popen[bytes]:
        # Not through the shell, and with our own interpreter and script: nothing here comes from outside.
        return subprocess.Popen(  # noqa: S603
            [sys.executable, str(MANAGE), *self.words], stdin=subprocess.PIPE, start_new_session=True, pass_fds=self._pass_fds
        )

    def _watch(self) -> None:
        """Start the command again whenever it ends by itself."""
        while True:
            status = self._process.wait()
            if self._stopping.is_set():
                return
            logger.error("`manage.py %s` ended with status %s and is started again", self.words[0], status)
            if self._stopping.wait(RESTART_SECONDS):
                return
            self._process = self._spawn()

    def stop(self, *, seconds: float = STOP_SECONDS) -> None:
        """Let it finish what it has, and wait until it has ended; kill it when that takes longer than `seconds`."""
        self._stopping.set()
        process = self._process
        if process.stdin is not None:
            process.stdin.close()
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            logger.error("`manage.py %s` did not end within %s s and is killed", self.words[0], seconds)  # noqa: TRY400
            process.kill()
            process.wait()


def when_parent_ends(do: Callable[[], object]) -> None:
    """In a child: call `do`, in a thread, when the pipe from the parent ends."""

    def wait() -> None:
        while os.read(0, 1024):
            pass
        do()

    threading.Thread(target=wait, name="wait for the parent", daemon=True).start()

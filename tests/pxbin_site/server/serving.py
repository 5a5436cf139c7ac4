"""Starts the process of served.py and talks to it over raw sockets."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from tests.support.waiting import PATIENCE, eventually, expect_soon

ROOT = Path(__file__).parents[3]
MEGA = 1_000_000


class Served:
    """A running server."""

    def __init__(self, process: subprocess.Popen[str], port: int) -> None:
        self.process = process
        self.port = port

    def connect(self, *, receive_buffer: int | None = None) -> Client:
        client = Client()
        if receive_buffer:
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        client.settimeout(PATIENCE)
        try:
            client.connect(("127.0.0.1", self.port))
        except OSError:
            client.close()
            raise
        return client

    def ask(self, raw: bytes) -> Answer:
        """Send bytes on a new connection and read one answer."""
        with self.connect() as client:
            client.sendall(raw)
            return read(client)

    def state(self) -> dict[str, int]:
        return json.loads(self.ask(request("/state")).body)

    def until(self, condition: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """The state once it fulfils ``condition``."""
        return eventually(lambda: (state := self.state()) and condition(state) and state)

    def expect_once(self, event: str) -> None:
        """Wait until this has happened once."""
        expect_soon(lambda: self.state().get(event, 0), 1)

    def peak(self) -> int:
        """The most memory that the process ever had, in bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024

    def memory(self) -> int:
        return psutil.Process(self.process.pid).memory_info().rss

    def open_files(self) -> list[str]:
        return [file.path for file in psutil.Process(self.process.pid).open_files()]

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    def wait_exit(self) -> tuple[int, str]:
        """The exit code and what was printed after the port."""
        out, _ = self.process.communicate(timeout=PATIENCE)
        return self.process.returncode, out


class Client(socket.socket):
    """A connection that can be read to a mark."""

    buffered = b""

    def receive(self) -> None:
        piece = self.recv(1 << 20)
        assert piece, "the server closed the connection"
        self.buffered += piece

    def until(self, mark: bytes) -> bytes:
        while mark not in self.buffered:
            self.receive()
        found_bytes, _, self.buffered = self.buffered.partition(mark)
        return found_bytes

    def exactly(self, size: int) -> bytes:
        pieces = [self.buffered[:size]]
        self.buffered = self.buffered[size:]
        missing = size - len(pieces[0])
        while missing:
            piece = self.recv(min(missing, 1 << 20))
            assert piece, "the server closed the connection"
            pieces.append(piece)
            missing -= len(piece)
        return b"".join(pieces)


class Answer:
    """One HTTP answer."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def json(self) -> Any:
        return json.loads(self.body)


def read(client: Client, *, method: str = "GET") -> Answer:
    """The next answer on a connection; what comes after it is kept for the next call."""
    head = client.until(b"\r\n\r\n").decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    status = int(head[0].split(" ")[1])
    if method == "HEAD" or status == 204:
        body = b""
    elif "content-length" in headers:
        body = client.exactly(int(headers["content-length"]))
    elif headers.get("transfer-encoding") == "chunked":
        body = b"".join(chunks(client))
    else:
        body = read_rest(client)
    return Answer(status, headers, body)


def chunk(client: Client) -> bytes:
    """The next chunk of a chunked body; the last one is empty."""
    content = client.exactly(int(client.until(b"\r\n"), 16))
    client.exactly(2)
    return content


def chunks(client: Client) -> Iterator[bytes]:
    """The chunks of a chunked body."""
    while piece := chunk(client):
        yield piece


def request(path: str, body: bytes = b"", *, method: str = "GET", headers: str = "") -> bytes:
    """A plain request."""
    length = f"content-length: {len(body)}\r\n" if body else ""
    return f"{method} {path} HTTP/1.1\r\nhost: x\r\n{length}{headers}\r\n".encode("latin-1") + body


def read_rest(client: Client) -> bytes:
    """Everything until the server closes."""
    received, client.buffered = client.buffered, b""
    try:
        while piece := client.recv(65536):
            received += piece
    except ConnectionResetError:
        return received
    return received


@contextmanager
def served(**options: Any) -> Iterator[Served]:
    """A server with these options, stopped at the end."""
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.pxbin_site.server.served", json.dumps(options)],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert line, process.communicate()[1]
        yield Served(process, int(line))
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


def error_of(answer: Answer) -> tuple[int, str]:
    """Status and message of an OpenAI-shaped error."""
    return answer.status, answer.json()["error"]["message"]

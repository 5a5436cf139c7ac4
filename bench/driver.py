"""The bench's clients: a process that sends one request again and again over N connections and checks every answer.

`python -m bench.driver` reads a Job as JSON from standard input and prints an Outcome.
"""

import asyncio
import json
import re
import sys
import time
from typing import cast

import msgspec
import uvloop

SILENCE = 30.0
"""Seconds, besides a twentieth of one for each request, after which a job that is not finished has failed."""

_TEXTS = re.compile(rb'"(?:text|content)":\s?"((?:[^"\\]|\\.)*)"')


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """What to send where, and what must come back."""

    port: int
    request: bytes
    requests: int
    connections: int
    stream: bool
    text: str
    """The answer's whole text."""
    terminator: str = ""
    """What a stream must end with."""


class Outcome(msgspec.Struct, kw_only=True):
    """Seconds of every request: to its first body byte and to its last one; and what was wrong."""

    wall: float = 0.0
    cpu: float = 0.0
    first: list[float] = []
    last: list[float] = []
    wrong: int = 0
    fault: str = ""
    """What was wrong with the first answer that was."""


class Client(asyncio.Protocol):
    """One connection that asks until the job has no requests left."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: asyncio.Transport
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection stands."""
        self._transport = cast("asyncio.Transport", transport)
        self._ask()

    def connection_lost(self, _: Exception | None) -> None:
        """The other side is gone."""
        if self._busy:
            self._load.note(f"the connection closed after {bytes(self._received[-300:])!r}")
            self._load.lost()

    def _ask(self) -> None:
        self._busy = self._load.take()
        self._received = bytearray()
        self._head = -1
        self._first = 0.0
        if self._busy:
            self._sent = time.perf_counter()
            self._transport.write(self._load.job.request)
        else:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        """More of a message, which may come in pieces of any size."""
        self._received += data
        if self._head < 0:
            self._head = self._received.find(b"\r\n\r\n")
            if self._head < 0:
                return
            head = bytes(self._received[: self._head]).lower()
            self._chunked = b"transfer-encoding: chunked" in head
            length = re.search(rb"content-length: ?(\d+)", head)
            self._length = int(length[1]) if length else 0
        body = self._head + 4
        if not self._first and len(self._received) > body:
            self._first = time.perf_counter()
        if self._received.endswith(b"0\r\n\r\n") if self._chunked else len(self._received) >= body + self._length:
            self._done(bytes(self._received[:body]), bytes(self._received[body:]))

    def _done(self, head: bytes, body: bytes) -> None:
        now = time.perf_counter()
        job, load = self._load.job, self._load
        load.outcome.last.append(now - self._sent)
        load.outcome.first.append(self._first - self._sent)
        if self._chunked:
            body = dechunk(body)
        fault = check(job, head, body)
        if fault:
            load.note(f"{fault}: {head[:200]!r} {body[:2000]!r}")
        load.finish()
        self._ask()


def dechunk(data: bytes) -> bytes:
    """The body inside the chunks of a complete chunked message."""
    parts, at = [], 0
    while True:
        end = data.index(b"\r\n", at)
        size = int(data[at:end], 16)
        if not size:
            return b"".join(parts)
        parts.append(data[end + 2 : end + 2 + size])
        at = end + 4 + size


def check(job: Job, head: bytes, body: bytes) -> str:
    """What is wrong with an answer, or an empty string."""
    if not head.startswith(b"HTTP/1.1 200"):
        return "not status 200"
    text = b"".join(_TEXTS.findall(body)).decode()
    if text != job.text:
        return f"text {text[:80]!r}"
    if job.stream and not body.endswith(job.terminator.encode()):
        return "no terminator"
    return "" if job.stream or _is_json(body) else "not JSON"


def _is_json(body: bytes) -> bool:
    try:
        json.loads(body)
    except ValueError:
        return False
    return True


class Load:
    """The requests of a job, shared by its connections."""

    def __init__(self, job: Job) -> None:
        self.job = job
        self.outcome = Outcome()
        self.all_done = asyncio.get_running_loop().create_future()
        self._left = self._open = job.requests

    def take(self) -> bool:
        """Whether there is one more request to send."""
        self._left -= 1
        return self._left >= 0

    def note(self, fault: str) -> None:
        """Count a fault; the first one is told."""
        self.outcome.wrong += 1
        self.outcome.fault = self.outcome.fault or fault

    def finish(self) -> None:
        """One request is over."""
        self._open -= 1
        if self._open == 0 and not self.all_done.done():
            self.all_done.set_result(None)

    def lost(self) -> None:
        """A connection ended in the middle: the job fails now."""
        if not self.all_done.done():
            self.all_done.set_result(None)


async def run(job: Job) -> Outcome:
    """Send the job's requests and wait for the last answer."""
    loop = asyncio.get_running_loop()
    load = Load(job)
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(min(job.connections, job.requests)):
        await loop.create_connection(lambda: Client(load), "127.0.0.1", job.port)
    try:
        await asyncio.wait_for(load.all_done, SILENCE + job.requests / 20)
    except TimeoutError:
        load.note(f"{len(load.outcome.last)} of {job.requests} answers came in time")
    load.outcome.wall, load.outcome.cpu = time.perf_counter() - started, time.process_time() - cpu
    return load.outcome


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=Job)))))

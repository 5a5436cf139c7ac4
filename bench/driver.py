"""The load of the benchmark: a process that sends one request repeatedly over N connections and checks every response.

`python -m bench.driver` reads a Job as JSON from standard input and prints an Outcome as JSON.
"""

import asyncio
import json
import re
import sys
import time
from typing import cast

import msgspec
import uvloop

TIMEOUT_SECONDS = 30.0
"""Time limit of a job, to which each request adds a twentieth of a second."""

_TEXTS = re.compile(rb'"(?:text|content)":\s?"((?:[^"\\]|\\.)*)"')


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A request, how often to send it, and the expected response."""

    port: int
    request: bytes
    requests: int
    connections: int
    stream: bool
    text: str
    """The whole text of the response."""
    terminator: str = ""
    """The end of a stream."""
    pause: float = 0.0
    """Seconds between a response and the next request of its connection."""


class Outcome(msgspec.Struct, kw_only=True):
    """Seconds of every request until the first and the last byte of the body, and the errors."""

    wall: float = 0.0
    cpu: float = 0.0
    first: list[float] = []
    last: list[float] = []
    wrong: int = 0
    fault: str = ""
    """The error of the first wrong response."""

    def fill(self, requests: int, *, seconds: float) -> None:
        """Let requests without a response count as if it had arrived now."""
        missing = [seconds] * (requests - len(self.last))
        self.first += missing
        self.last += missing


class Client(asyncio.Protocol):
    """One connection, which sends requests until the job has none left."""

    def __init__(self, load: "Load") -> None:
        self._load = load
        self._transport: asyncio.Transport
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is established."""
        self._transport = cast("asyncio.Transport", transport)
        self._send_next()

    def connection_lost(self, _: Exception | None) -> None:
        """The connection is closed."""
        if self._busy:
            self._load.note(f"the connection closed after {bytes(self._received[-300:])!r}")
            self._load.fail()

    def _send_next(self) -> None:
        if self._transport.is_closing():
            return
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
        """Receive a part of a response, of any size."""
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
            self._complete(bytes(self._received[:body]), bytes(self._received[body:]))

    def _complete(self, head: bytes, body: bytes) -> None:
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
        if job.pause:
            asyncio.get_running_loop().call_later(job.pause, self._send_next)
        else:
            self._send_next()


def dechunk(data: bytes) -> bytes:
    """The body inside the chunks of a complete chunked message."""
    parts, position = [], 0
    while True:
        end = data.index(b"\r\n", position)
        size = int(data[position:end], 16)
        if not size:
            return b"".join(parts)
        parts.append(data[end + 2 : end + 2 + size])
        position = end + 4 + size


def check(job: Job, head: bytes, body: bytes) -> str:
    """The error of a response, or an empty text."""
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
        """Take one request; False if none is left."""
        self._left -= 1
        return self._left >= 0

    def note(self, fault: str) -> None:
        """Count an error and keep the text of the first one."""
        self.outcome.wrong += 1
        self.outcome.fault = self.outcome.fault or fault

    def finish(self) -> None:
        """A request is complete."""
        self._open -= 1
        if self._open == 0 and not self.all_done.done():
            self.all_done.set_result(None)

    def fail(self) -> None:
        """A connection was lost during a request: end the job."""
        if not self.all_done.done():
            self.all_done.set_result(None)


async def run(job: Job) -> Outcome:
    """Send the job's requests and wait for the last response."""
    loop = asyncio.get_running_loop()
    load = Load(job)
    started, cpu = time.perf_counter(), time.process_time()
    for _ in range(min(job.connections, job.requests)):
        await loop.create_connection(lambda: Client(load), "127.0.0.1", job.port)
    try:
        await asyncio.wait_for(load.all_done, TIMEOUT_SECONDS + job.requests / 20)
    except TimeoutError:
        load.note(f"{len(load.outcome.last)} of {job.requests} responses arrived in time")
        load.outcome.fill(job.requests, seconds=time.perf_counter() - started)
    load.outcome.wall, load.outcome.cpu = time.perf_counter() - started, time.process_time() - cpu
    return load.outcome


if __name__ == "__main__":
    sys.stdout.buffer.write(msgspec.json.encode(uvloop.run(run(msgspec.json.decode(sys.stdin.buffer.read(), type=Job)))))
    sys.stdout.buffer.flush()

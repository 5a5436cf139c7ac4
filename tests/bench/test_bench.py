"""The benchmark measures and checks responses; no test asserts figures."""

import asyncio
import json
import subprocess
import sys

import pytest

from bench import driver
from bench.answers import CHAT, COMPLETE_BODIES, MESSAGES, TEXT
from bench.attackers import ATTACKS, Connection
from bench.driver import Job, Outcome
from tests.support.gateway import ROOT, clean_environment
from tests.support.waiting import PATIENCE


@pytest.mark.slow
def test_a_small_run_measures_every_pair():
    command = [sys.executable, "-m", "bench", "--json", "--requests", "50", "--connections", "5"]
    selection = ["--only", "apart", "--only", "passthrough, stream"]
    process = subprocess.run([*command, *selection], cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    figures = json.loads(process.stdout)
    measured = [(line["scenario"], line["server"] == "direct") for line in figures]
    names = list(dict.fromkeys(name for name, _ in measured))
    assert len(names) == 4
    assert measured == [(name, direct) for name in names for direct in (True, False)]
    assert [line for line in figures if line["wrong"] or line["rows_missing"] or not line["per_second"]] == []
    assert [line["cpu_ms"] is None for line in figures] == [True, False] * len(names)


@pytest.mark.slow
def test_the_adversary_attacks_while_the_load_is_measured():
    command = [sys.executable, "-m", "bench", "--json", "--requests", "80", "--only", "adversary: wrong keys"]
    process = subprocess.run(command, cwd=ROOT, env=clean_environment(), capture_output=True, text=True, check=False)
    assert (process.returncode, process.stderr) == (0, "")
    direct, attacked = json.loads(process.stdout)
    assert (direct["scenario"], direct["server"], direct["requests"]) == ("adversary: wrong keys", "direct", 20)
    assert (attacked["scenario"], attacked["requests"], attacked["wrong"]) == ("adversary: wrong keys", 20, 0)
    assert (direct["added_p99_ms"], attacked["added_p99_ms"] >= 0) == (None, True)


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(ATTACKS) - {"idle connections"}))
async def test_an_attacker_sends_without_a_key(name):
    received = asyncio.get_running_loop().create_future()

    async def serve(reader, writer):
        received.set_result(await reader.readuntil(b" HTTP/1.1\r\nHost: "))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        method, _ = ATTACKS[name]
        async with Connection(server.sockets[0].getsockname()[1]) as connection:
            attacker = asyncio.ensure_future(method(connection))
            assert await asyncio.wait_for(received, PATIENCE)
            attacker.cancel()


def test_requests_without_a_response_count_until_the_end():
    outcome = Outcome(first=[0.1], last=[0.2])
    outcome.fill(3, seconds=9.0)
    assert (outcome.first, outcome.last) == ([0.1, 9.0, 9.0], [0.2, 9.0, 9.0])


def job():
    return Job(port=1, request=b"", requests=1, connections=1, stream=False, text=TEXT)


@pytest.mark.parametrize("path", [CHAT, MESSAGES])
def test_the_driver_accepts_a_correct_response(path):
    assert driver.check(job(), b"HTTP/1.1 200 OK\r\n\r\n", COMPLETE_BODIES[path]) == ""


@pytest.mark.parametrize(
    ("head", "body", "fault"),
    [
        (b"HTTP/1.1 500 Oops\r\n\r\n", COMPLETE_BODIES[CHAT], "not status 200"),
        (b"HTTP/1.1 200 OK\r\n\r\n", COMPLETE_BODIES[CHAT].replace(b"word07 ", b""), f"text {TEXT.replace('word07 ', '')[:80]!r}"),
        (b"HTTP/1.1 200 OK\r\n\r\n", COMPLETE_BODIES[CHAT][:-1], "not JSON"),
    ],
)
def test_the_driver_reports_a_wrong_response(head, body, fault):
    assert driver.check(job(), head, body) == fault


def test_the_driver_reports_a_stream_without_its_end():
    stream = Job(port=1, request=b"", requests=1, connections=1, stream=True, text="a", terminator="data: [DONE]\n\n")
    body = b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
    assert driver.check(stream, b"HTTP/1.1 200 OK\r\n\r\n", body) == "no terminator"
    assert driver.check(stream, b"HTTP/1.1 200 OK\r\n\r\n", body + b"data: [DONE]\n\n") == ""


def test_chunks_are_joined():
    assert driver.dechunk(b"3\r\nabc\r\nA\r\n0123456789\r\n0\r\n\r\n") == b"abc0123456789"

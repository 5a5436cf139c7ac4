"""kill -9 in the middle of 200 requests: whoever got the last byte of an answer has exactly one row in the log."""

import asyncio
import json
import os
import random
import signal
import sqlite3
from collections import Counter
from contextlib import closing

import psutil
import pytest

from tests.support.gateway import Gateway
from tests.support.sizes import PROOF
from tests.support.waiting import eventually, eventually_async

ROUNDS = 50 if PROOF else 2
CLIENTS = 200
LONGEST = 1.5
"""Seconds that an answer takes at most."""


async def request(gateway: Gateway, name: str, chance: random.Random, answered_names: list[str]) -> None:
    """Send one request that takes its time; when its last byte has come, its name is added to `answered_names`."""
    seconds = chance.uniform(0, LONGEST)
    stream = chance.random() < 0.5
    order = f"[echo chunks=10 pace_ms={seconds * 100:.0f}]" if stream else f"[echo hang={seconds:.3f}]"
    model, path = chance.choice(["echo", "echo-anthropic"]), chance.choice(["messages", "chat/completions"])
    messages = [{"role": "user", "content": f"hello {order}"}]
    body = json.dumps({"model": model, "max_tokens": 100, "stream": stream, "messages": messages}).encode()
    head = (
        f"POST /v1/{path} HTTP/1.1\r\nhost: gateway\r\nx-api-key: {gateway.client_key}\r\nx-request-id: {name}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(head.encode() + body)
        response_head = (await reader.readuntil(b"\r\n\r\n")).lower()
        assert response_head.startswith(b"http/1.1 200"), response_head
        if b"chunked" in response_head:
            await reader.readuntil(b"\r\n0\r\n\r\n")
        else:
            await reader.readexactly(int(response_head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
    except (asyncio.IncompleteReadError, ConnectionError):
        return
    finally:
        writer.close()
    answered_names.append(name)


async def send_and_kill(gateway: Gateway, names: list[str], chance: random.Random, *, children_too: bool) -> list[str]:
    """Send all requests at once, kill the server in the middle, and return the names of those that were answered."""
    children = [child.pid for child in psutil.Process(gateway.process.pid).children(recursive=True)]
    answered_names: list[str] = []
    requests = [asyncio.create_task(request(gateway, name, chance, answered_names)) for name in names]
    killed_at = chance.randint(CLIENTS // 5, CLIENTS // 2)
    await eventually_async(lambda: len(answered_names) >= killed_at, every=0.005)
    gateway.process.kill()
    for child in children if children_too else []:
        os.kill(child, signal.SIGKILL)
    await asyncio.gather(*requests)
    gateway.process.wait()
    return answered_names


def rows(gateway: Gateway) -> Counter[str]:
    """How many rows there are of every request."""
    with closing(sqlite3.connect(gateway.data_dir / "pxbin.sqlite3", timeout=20)) as database:
        return Counter(name for (name,) in database.execute("SELECT request_id FROM billing_requestlog"))


@pytest.mark.timeout(600 + 60 * ROUNDS)
def test_every_request_that_got_its_last_byte_has_one_row():
    chance = random.Random(11)
    expected: set[str] = set()
    sent_names: set[str] = set()
    with Gateway.started() as gateway:
        for number in range(ROUNDS):
            names = [f"crash-{number}-{index}" for index in range(CLIENTS)]
            answered_names = asyncio.run(send_and_kill(gateway, names, chance, children_too=number % 2 == 1))
            assert 0 < len(answered_names) < CLIENTS
            expected.update(answered_names)
            sent_names.update(names)
            gateway.restart()
        eventually(lambda: expected <= set(rows(gateway)), every=0.2, message="not every answered request has a row")
        row_counts = rows(gateway)
    assert {name: count for name, count in row_counts.items() if count > 1} == {}
    assert set(row_counts) - sent_names == set()

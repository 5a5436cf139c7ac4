"""Clients that leave at any moment: each leaves one row and nothing else, neither in the gateway nor at the upstream."""

import asyncio
import json
import random
import signal
from collections import Counter
from pathlib import Path

import httpx
import pytest

from tests.e2e.test_chaos import FINISH, OPENED, STREAM, WELL, chunk, named
from tests.support.fake_upstream import HANG, Reply, json_reply, sse
from tests.support.gateway import Gateway
from tests.support.waiting import PATIENCE, eventually, eventually_async, expect_soon, expect_soon_async

NUMBER = 500
INSIDE = Path(__file__).parent.parent / "support" / "inside"
TEXT = "a few words that make a request of some length " * 20


class Inside:
    """A gateway that can be looked into."""

    def __init__(self, gateway, folder):
        self.gateway = gateway
        self.temporary = folder / "tmp"
        self._report = folder / "report"

    def look(self):
        """Tasks by what they do, requests running by key, attempts in memory, and open files."""
        self._report.unlink(missing_ok=True)
        self.gateway.process.send_signal(signal.SIGUSR2)
        eventually(self._report.exists, message="the gateway reports nothing")
        return json.loads(self._report.read_text())

    def idle_resources(self):
        """The resources in use while nothing runs, without connections: read once no task runs and two requests have not changed them."""
        looks = [None]

        def is_unchanged():
            last_row(self.gateway)
            looks.append(self.without_connections())
            return looks[-1] == looks[-2] and not looks[-1]["tasks"]

        eventually(is_unchanged)
        return looks[-1]

    def without_connections(self):
        """The same now."""
        resources = self.look()
        files = Counter(
            name.partition(":")[0] if name.startswith(("socket:", "pipe:", "anon_inode:")) else name for name in resources["files"]
        )
        return {**resources, "files": sorted(name for name in files if not name.startswith("socket") and "spool" not in name)}


@pytest.fixture(scope="module")
def inside(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inside")
    (folder / "tmp").mkdir()
    variables = {"PYTHONPATH": str(INSIDE), "INSIDE_REPORT": str(folder / "report"), "TMPDIR": str(folder / "tmp")}
    with Gateway.started(PXBIN_CB_FAILURE_THRESHOLD="1000", PXBIN_HOLD_SECONDS="1", **variables) as gateway:
        yield Inside(gateway, folder)


def body_of(path, model, *, stream):
    if path == "/v1/responses":
        return {"json": {"model": model, "stream": stream, "input": TEXT}}
    if path == "/v1/audio/transcriptions":
        return {"data": {"model": model, "stream": str(stream).lower()}, "files": {"file": ("a.wav", b"\0" * 200_000, "audio/wav")}}
    return {"json": {"model": model, "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": TEXT}]}}


PATHS = ("/v1/messages", "/v1/chat/completions", "/v1/responses", "/v1/audio/transcriptions")


WORD_CHUNKS = [piece for number in range(5000) for piece in (chunk({"content": f"word {number} "}), 0.1)]


def dripping(request):
    """A stream that is longer than any client waits; a whole response is never sent."""
    if b'"stream":true' not in request.body.replace(b" ", b"") and b"\r\n\r\ntrue" not in request.body:
        return Reply(instead=HANG)
    return sse(0.2, OPENED, *WORD_CHUNKS, *FINISH)


async def visit(http, gateway, key, model, number, upstream):
    """One client that leaves; returns whether it left before the end. Clients with low numbers leave first, some before they are served."""
    path, stream = PATHS[number % 4], number % 5 > 0

    async def read():
        async with http.stream("POST", gateway.url + path, headers={"x-api-key": key}, **body_of(path, model, stream=stream)) as answer:
            async for _ in answer.aiter_bytes():
                pass

    await asyncio.sleep(number * 0.015)
    reading = asyncio.create_task(read())
    await eventually_async(lambda: len(upstream.requests) >= 0.6 * number, seconds=4 * PATIENCE, every=0.25)
    await asyncio.sleep(random.uniform(0, 3.0))
    left_early = reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    return left_early


def last_row(gateway):
    """Wait for the row of a request that begins now: all earlier ones are written then."""
    body = {"model": "echo", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}]}
    answer = gateway.http.post(f"{gateway.url}/v1/messages", headers=gateway.client_headers, json=body)
    return gateway.row_of(answer.headers["x-request-id"])


async def test_clients_that_leave_at_any_moment_leave_no_resources_in_use(inside, upstream):
    gateway = inside.gateway
    model = named(upstream, gateway)
    key = gateway.api("POST", "/keys", json={"name": "leaver", "concurrency_limit": NUMBER})["key"]
    before = await asyncio.to_thread(inside.idle_resources)
    upstream.otherwise(dripping)
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=0)
    async with httpx.AsyncClient(timeout=4 * PATIENCE, limits=limits) as http:
        assert all(await asyncio.gather(*(visit(http, gateway, key, model, number, upstream) for number in range(NUMBER))))
    await expect_soon_async(lambda: upstream.connections, 0)
    arrived = len(upstream.requests)
    assert arrived > NUMBER // 2
    await asyncio.to_thread(expect_soon, inside.without_connections, before, every=0.3)
    await asyncio.to_thread(last_row, gateway)  # those who left before their request had gone up have a row too
    rows = await asyncio.to_thread(gateway.logs, arrived, model=model)
    assert Counter(row["outcome"] for row in rows) == {"cancelled": len(rows)}
    assert arrived <= len([row for row in rows if row["attempts"] == 1]) <= NUMBER
    rows = [row for row in rows if row["usage_estimated"]]
    assert arrived <= len(rows) <= NUMBER  # some requests were on their way
    input_tokens = {row["input_tokens"] for row in rows if "/audio/" not in row["path"]}
    assert 200 < min(input_tokens) <= max(input_tokens) < 400
    tries = [gateway.api("GET", f"/logs/{row['id']}")["tries"] for row in rows[:20]]
    assert {(len(attempts), attempts[0]["outcome"], bool(attempts[0]["credential_id"])) for attempts in tries} == {(1, "cancelled", True)}

    after = await asyncio.to_thread(inside.look)
    assert after["running"] == {}
    assert list(inside.temporary.iterdir()) == []

    upstream.otherwise(lambda request: sse(*STREAM) if request.json().get("stream") else json_reply(WELL))
    async with httpx.AsyncClient(timeout=4 * PATIENCE, limits=limits) as http:  # every slot of the key is free again

        async def status_of(number):
            answer = await http.post(f"{gateway.url}/v1/messages", headers={"x-api-key": key}, **body_of("", model, stream=number % 2 > 0))
            return answer.status_code

        assert Counter(await asyncio.gather(*(status_of(number) for number in range(NUMBER)))) == {200: NUMBER}

"""`python -m bench.http_clients`: CPU time of one call of an upstream, by HTTP client.

The same request is sent with the gateway's client (aiohttp's connector and parser, used directly), with aiohttp's public
`ClientSession` and with httpx. The upstream is a process of its own, so the CPU time is the client's alone. The clients take
turns in several rounds; the least CPU time of each is printed, in milliseconds for one call.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "pxbin_site.settings")

import aiohttp
import httpx
import msgspec
import uvloop

from bench.gateway import ROOT

BODY = b'{"model":"m","messages":[{"role":"user","content":"Hello"}]}'
HEADERS = [("content-type", "application/json"), ("authorization", "Bearer secret")]
Call = Callable[[str], Awaitable[bytes]]


class Timeouts(msgspec.Struct):
    """What the gateway's client needs of an upstream, in seconds."""

    connect_timeout: float = 5.0
    first_byte_timeout: float = 60.0
    idle_timeout: float = 60.0


async def measure(url: str, calls: int, rounds: int) -> dict[str, float]:
    """The least CPU time of one call in milliseconds, by client."""
    from upstreams.http import client

    async def with_gateway_client(url: str) -> bytes:
        async with client.open("POST", url, HEADERS, BODY, upstream=Timeouts()) as response:
            return await response.read()

    async with aiohttp.ClientSession(auto_decompress=False) as session, httpx.AsyncClient() as httpx_client:

        async def with_session(url: str) -> bytes:
            async with session.post(url, data=BODY, headers=HEADERS, allow_redirects=False) as response:
                return await response.read()

        async def with_httpx(url: str) -> bytes:
            return (await httpx_client.post(url, content=BODY, headers=HEADERS)).content

        clients: dict[str, Call] = {"gateway": with_gateway_client, "aiohttp.ClientSession": with_session, "httpx": with_httpx}
        least = dict.fromkeys(clients, float("inf"))
        for _ in range(rounds):
            for name, call in clients.items():
                least[name] = min(least[name], await cpu_milliseconds(call, url, calls))
    await client.close_all()
    return least


async def cpu_milliseconds(call: Call, url: str, calls: int) -> float:
    """CPU time of this process for one call, after a warm-up of a tenth of the calls."""
    for _ in range(calls // 10):
        await call(url)
    cpu_before = time.process_time()
    for _ in range(calls):
        await call(url)
    return (time.process_time() - cpu_before) * 1000 / calls


def main() -> None:
    """Start the upstream, measure, and print a line for each client."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    with subprocess.Popen(
        [sys.executable, "-m", "bench.upstream"], cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as upstream:
        assert upstream.stdin is not None
        assert upstream.stdout is not None
        url = f"http://127.0.0.1:{upstream.stdout.readline().strip()}/burst/v1/chat/completions"
        least = uvloop.run(measure(url, options.calls, options.rounds))
        upstream.stdin.close()
    for name, milliseconds in least.items():
        print(f"{name:24} {milliseconds:.3f} ms CPU for one call")


if __name__ == "__main__":
    main()

"""`python -m bench.soak`: mixed traffic with faults for half an hour; memory, descriptors and latency must stay flat.

A gateway with two web processes serves whole and streamed requests of both formats, clients that leave, upstream errors, lost
connections and large prompts. Its `/metrics` are read in between. At the end a burst is sent, and two minutes later the memory is
compared with that before it. The exit status is 1 if something grew, or if a request failed without a fault that was asked for.
"""

import argparse
import asyncio
import random
import re
import sys
import time
from collections import Counter

import httpx

from tests.support.gateway import Gateway

WARM_UP_SHARE = 0.2
"""The part of the time after which growth counts: caches fill first."""
MOST_GROWTH = 1.2
SAMPLE_SECONDS = 10.0
RECOVERY_SECONDS = 120.0
BURST = 400
WATCHED = ("process_resident_memory_bytes", "process_open_fds", "proxy_active_streams", "proxy_log_backlog_segments")
KINDS: dict[str, tuple[str, bool, frozenset[int]]] = {
    "whole": ("hello", False, frozenset({200})),
    "stream": ("[echo chunks=20 pace_ms=20] hello", True, frozenset({200})),
    "long": ("word " * 5000, False, frozenset({200})),
    "tools": ("[echo chunks=40] hello", True, frozenset({200})),
    "upstream error": ("[echo status=529 retry_after=1]", False, frozenset({503, 529})),
    "refused by upstream": ("[echo status=400]", False, frozenset({400})),
    "cut": ("[echo chunks=9 cut_after=3] hello", True, frozenset({200})),
    "leaves": ("[echo chunks=200 pace_ms=50] hello", True, frozenset({200})),
}
"""By name: the prompt, whether it is streamed, and the statuses that it may get."""
PATHS = ("/v1/messages", "/v1/chat/completions")


async def ask(http: httpx.AsyncClient, gateway: Gateway, name: str, counts: Counter[str]) -> None:
    """Send one request, and count whether its status is one that was asked for."""
    prompt, stream, expected = KINDS[name]
    body = {"model": "echo", "max_tokens": 500, "stream": stream, "messages": [{"role": "user", "content": prompt}]}
    url = gateway.url + random.choice(PATHS)
    try:
        async with http.stream("POST", url, headers={"authorization": f"Bearer {gateway.client_key}"}, json=body) as response:
            async for _ in response.aiter_raw():
                if name == "leaves":
                    break
        counts["expected" if response.status_code in expected else f"{name}: {response.status_code}"] += 1
    except httpx.HTTPError as error:
        counts[f"{name}: {type(error).__name__}"] += 1


async def traffic(gateway: Gateway, seconds: float, clients: int, counts: Counter[str]) -> list[dict[str, float]]:
    """Send requests for so long; returns what `/metrics` showed in between."""
    end, samples = time.monotonic() + seconds, []
    async with httpx.AsyncClient(timeout=60, limits=httpx.Limits(max_connections=None)) as http:

        async def client() -> None:
            while time.monotonic() < end:
                await ask(http, gateway, random.choice(list(KINDS)), counts)

        async def watch() -> None:
            while time.monotonic() < end:
                await asyncio.sleep(min(SAMPLE_SECONDS, seconds / 10))
                samples.append(await measured(http, gateway))

        await asyncio.gather(watch(), *(client() for _ in range(clients)))
    return samples


async def measured(http: httpx.AsyncClient, gateway: Gateway) -> dict[str, float]:
    """The watched metrics, and the latency of one request."""
    began = time.monotonic()
    await ask(http, gateway, "whole", Counter())
    latency = time.monotonic() - began
    text = (await http.get(f"{gateway.url}/metrics")).text
    values = {name: float(value) for name, value in re.findall(r"^([a-z_]+) (\S+)$", text, re.MULTILINE) if name in WATCHED}
    print(
        f"{time.strftime('%X')}  latency {latency * 1000:.0f} ms  " + "  ".join(f"{name} {values[name]:.0f}" for name in WATCHED),
        flush=True,
    )
    return {**values, "latency": latency}


def growth(samples: list[dict[str, float]], name: str) -> float:
    """The mean of the last third of the samples after the warm-up, relative to that of the first third."""
    values = [sample[name] for sample in samples[int(len(samples) * WARM_UP_SHARE) :]]
    third = max(1, len(values) // 3)
    return sum(values[-third:]) / max(1.0, sum(values[:third]))


async def soak(gateway: Gateway, options: argparse.Namespace) -> list[str]:
    """All problems that were found."""
    counts: Counter[str] = Counter()
    samples = await traffic(gateway, options.minutes * 60, options.clients, counts)
    problems = [f"{name} grew {growth(samples, name):.2f} times" for name in WATCHED[:2] if growth(samples, name) > MOST_GROWTH]
    async with httpx.AsyncClient(timeout=120, limits=httpx.Limits(max_connections=None)) as http:
        before = await measured(http, gateway)
        await asyncio.gather(*(ask(http, gateway, "long", counts) for _ in range(options.burst)))
        await asyncio.sleep(options.recovery)
        after = await measured(http, gateway)
    ratio = after[WATCHED[0]] / before[WATCHED[0]]
    if ratio > MOST_GROWTH:
        problems.append(f"memory after the burst is {ratio:.2f} times that before it")
    print(dict(counts))
    return problems + [f"{number} times {name}" for name, number in counts.items() if name != "expected"]


def main() -> int:
    """Run it. The exit status is 1 if there are problems."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--clients", type=int, default=20)
    parser.add_argument("--burst", type=int, default=BURST, help="requests of 25 KB at once")
    parser.add_argument(
        "--recovery", type=float, default=RECOVERY_SECONDS, help="seconds between the burst and the last look at the memory"
    )
    options = parser.parse_args()
    variables = {"PXBIN_METRICS_ENABLED": "1", "PXBIN_CB_FAILURE_THRESHOLD": "1000000", "PXBIN_KEY_COOLDOWN_SECONDS": "0"}
    with Gateway.started("--workers", "2", **variables) as gateway:
        problems = asyncio.run(soak(gateway, options))
    print(*problems or ["nothing grew, and only what was asked for failed"], sep="\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())

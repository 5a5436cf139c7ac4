"""What a client with a key notices of an attack by clients without one.

A paced load is measured four times: directly at the upstream and through the gateway, without an attack and during it. The direct
measurements show what the attackers take from the load itself, which shares their core. The added delay is that of the gateway
without that of the upstream.
"""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from bench.attackers import ATTACKS
from bench.gateway import ROOT, Gateway, pinned
from bench.measure import Bench, Figures
from bench.scenarios import SCENARIOS

PREFIX = "adversary: "
LOAD = next(scenario for scenario in SCENARIOS if scenario.name == "messages to chat")
CONNECTIONS = 4
PAUSE = 0.01
SHARE = 0.25
"""The part of `--requests` that is sent during each attack."""


def names() -> list[str]:
    """The names under which `--only` selects the attacks."""
    return [PREFIX + name for name in ATTACKS]


def measure(bench: Bench, gateway: Gateway, name: str, *, requests: int) -> list[Figures]:
    """The load without and with the attack of this name, and the attack's effect on the load alone."""
    scenario = msgspec.structs.replace(LOAD, name=name, pause=PAUSE, share=SHARE)
    size = {"requests": requests, "connections": CONNECTIONS}
    quiet_direct, quiet = bench.direct(scenario, **size), bench.through(gateway, scenario, **size)
    with attack(name.removeprefix(PREFIX), gateway.port, core=bench.core):
        direct, attacked = bench.direct(scenario, **size), bench.through(gateway, scenario, **size)
    attacked.rows_missing = 0  # refusals of the attackers have log rows too, so their number says nothing
    load_delay = max(0.0, direct.p99_ms - quiet_direct.p99_ms)
    attacked.added_p99_ms = max(0.0, attacked.p99_ms - quiet.p99_ms - load_delay)
    attacked.added_memory = (attacked.web_memory or 0.0) - (quiet.web_memory or 0.0)
    return [direct, attacked]


@contextmanager
def attack(name: str, port: int, *, core: int | None) -> Iterator[None]:
    """Attack the gateway at `port` while the context lasts."""
    command = pinned([sys.executable, "-m", "bench.attackers", name, str(port)], core)
    process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        if process.stdout.readline() != "attacking\n":
            raise SystemExit(f"the attack {name!r} did not start")
        yield
    finally:
        process.communicate()

"""Ports for servers of tests that have to come back at the same address."""

import itertools
import os
import random
import socket

FIRST, LAST = 10_000, 32_000
"""Below the ports that systems give to outgoing connections: between two starts of a server none of those can take its port."""
WORKERS = 16
"""Each worker of a parallel run has a share of its own."""


def _shuffled() -> list[int]:
    name = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    share = range(FIRST + int(name) % WORKERS, LAST, WORKERS)
    return random.sample(share, len(share))


_ports = itertools.cycle(_shuffled())


def free_port() -> int:
    """A port on loopback that nothing listens at; no other worker is given it."""
    for port in _ports:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise AssertionError

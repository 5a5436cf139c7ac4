"""Clients that left while their connection is not read."""

from __future__ import annotations

import select
from collections.abc import Iterable

from .connection import Connection

CLOSED_BY_PEER = getattr(select, "POLLRDHUP", 0)
"""The event of a peer that closed its sending side; only Linux has it. Resets are reported everywhere."""


def leavers(connections: Iterable[Connection]) -> list[Connection]:
    """Those connections whose client has closed its side or the whole connection, found with one system call.

    The end of the stream is found behind unread bytes, if the system has room for these: a client that sent more than
    its socket and ours hold is noticed when its response is written.
    """
    by_descriptor = {connection.transport.raw.get_extra_info("socket").fileno(): connection for connection in connections}
    if not by_descriptor:
        return []
    poller = select.poll()
    for descriptor in by_descriptor:
        poller.register(descriptor, CLOSED_BY_PEER)
    return [by_descriptor[descriptor] for descriptor, _ in poller.poll(0)]

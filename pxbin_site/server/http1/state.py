"""What a connection is doing."""

from __future__ import annotations

from enum import Enum


class State(Enum):
    """What a connection is doing."""

    HEAD = "head"
    """It waits for a request or reads its head."""
    GATE = "gate"
    """It waits for a look into the database: whether the body is received."""
    BODY = "body"
    RUNNING = "running"
    """The application runs; what the client sends is buffered."""
    LINGER = "linger"
    """It was refused: what the client still sends is discarded until it has read the answer."""
    UPGRADED = "upgraded"
    CLOSED = "closed"


HEAD, GATE, BODY, RUNNING, LINGER, UPGRADED, CLOSED = State
"""Globals, because an attribute of an enum costs a look-up more for each read."""

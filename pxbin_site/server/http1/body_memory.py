"""The memory of request bodies: a bound for all connections of a process together, and a smaller one for those without a key."""

from __future__ import annotations

from .head import RefusedError

RETRY_SECONDS = 5
"""What clients are asked to wait when there is no memory for their bodies."""


FREE_BUFFER = 4096
"""Bytes that each connection may hold unparsed without being counted; ordinary heads are smaller."""


def counted(unparsed: bytes) -> int:
    """The bytes of a connection's unparsed input that count as bodies without a key."""
    return len(unparsed) if len(unparsed) > FREE_BUFFER else 0


class BodyMemory:
    """Counts the bytes of request bodies, from their first byte to the end of their requests.

    ``limit``: bytes of all bodies. ``keyless_limit``: bytes of bodies that are incomplete and whose requests showed no valid key,
    which includes those of the admin pages and of the management API, of long incomplete heads, and of requests sent ahead.
    """

    def __init__(self, limit: int, keyless_limit: int) -> None:
        self.limit = limit
        self.keyless_limit = keyless_limit
        self.used = 0
        self.keyless_used = 0


class Share:
    """The part of one request's body. ``is_keyless``: the request showed no valid key (yet)."""

    __slots__ = ("_is_keyless", "_memory", "_size")

    def __init__(self, memory: BodyMemory, *, is_keyless: bool) -> None:
        self._memory = memory
        self._is_keyless = is_keyless
        self._size = 0

    def resize(self, size: int) -> None:
        """Count ``size`` bytes from now on; raises ``RefusedError`` 503 if this would exceed a bound."""
        memory, grown = self._memory, size - self._size
        if not grown:
            return
        if grown > 0 and memory.used + grown > memory.limit:
            raise RefusedError(503, "Too many request bodies at once", retry_after=RETRY_SECONDS)
        if self._is_keyless:
            if grown > 0 and memory.keyless_used + grown > memory.keyless_limit:
                raise RefusedError(503, "Too many request bodies without a key at once", retry_after=RETRY_SECONDS)
            memory.keyless_used += grown
        memory.used += grown
        self._size = size

    def try_resize(self, size: int) -> bool:
        """:meth:`resize` for the application; False, and nothing changes, where that would exceed a bound."""
        try:
            self.resize(size)
        except RefusedError:
            return False
        return True

    def complete(self, size: int) -> None:
        """The body is complete, with ``size`` bytes: the application decides now whether its request is served."""
        if self._is_keyless:
            self._is_keyless = False
            self._memory.keyless_used -= self._size
        self.resize(size)

    def close(self) -> None:
        """The body is not in memory any more."""
        if self._is_keyless:
            self._memory.keyless_used -= self._size
        self._memory.used -= self._size
        self._size = 0

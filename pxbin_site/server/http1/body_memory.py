"""The memory that request bodies of one process may use together.

Bodies of requests whose key is not known yet have a bound of their own, so that clients without a key cannot use the memory of those
with one. A body counts from its first byte until the response to its request is complete.
"""

from __future__ import annotations

from typing import Protocol

SMALL_BODY = 64 * 1024
"""A body without a known key of at most this size is read although their memory is in use: the oldest unfinished one gives way."""


class Holder(Protocol):
    """A connection with an unfinished body."""

    def give_way(self) -> None:
        """Refuse the request, which releases the memory of its body."""


class BodyMemory:
    """Counts bytes. ``limit``: of all bodies; ``keyless_limit``: of those whose key is not known."""

    def __init__(self, *, limit: int, keyless_limit: int) -> None:
        self._limit = limit
        self._keyless_limit = keyless_limit
        self.used = 0
        self.used_keyless = 0
        self._unfinished: dict[Holder, None] = {}

    def has_room(self, count: int, *, keyless: bool) -> bool:
        """Whether ``count`` more bytes fit."""
        return self.used + count <= self._limit and not (keyless and self.used_keyless + count > self._keyless_limit)

    def take(self, count: int, *, keyless: bool) -> None:
        """Count bytes that have arrived."""
        self.used += count
        if keyless:
            self.used_keyless += count

    def release(self, count: int, *, keyless: bool) -> None:
        """Count bytes that are no longer held."""
        self.used -= count
        if keyless:
            self.used_keyless -= count

    def note_unfinished(self, holder: Holder) -> None:
        """A body without a known key begins to arrive."""
        self._unfinished[holder] = None

    def forget_unfinished(self, holder: Holder) -> None:
        """A body is complete, or its request was refused."""
        self._unfinished.pop(holder, None)

    def make_room(self, count: int, *, for_holder: Holder) -> bool:
        """Refuse the oldest unfinished bodies without a known key until ``count`` bytes fit. False if they do not fit even then."""
        while not self.has_room(count, keyless=True):
            oldest = next((holder for holder in self._unfinished if holder is not for_holder), None)
            if oldest is None:
                return False
            self.forget_unfinished(oldest)
            oldest.give_way()
        return True

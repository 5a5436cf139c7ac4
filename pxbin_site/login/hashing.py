"""Password hashes: what one costs, and how many are computed at a time in a process.

All hashers pass through a queue: a login, a change of a password, a new user, a command. A queue computes one hash at a time, lets a
few callers wait, and refuses all others at once. Logins from unknown browsers share one queue, which pauses after each hash, so that a
flood of logins takes at most a fifth of one core and the memory of one hash. Known browsers, from which somebody has logged in before,
have a queue of their own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

from django.contrib.auth.hashers import Argon2PasswordHasher, PBKDF2PasswordHasher

LONGEST_REST = 1.0
"""Seconds."""
T = TypeVar("T")


class BusyError(Exception):
    """No hash can be computed now: too many callers wait for one."""


class HashQueue:
    """Computes one hash at a time.

    ``waiting``: callers that may wait; each waits ``patience`` seconds at most. ``rest``: the pause after a hash, in multiples of
    its time.
    """

    def __init__(self, *, waiting: int, patience: float, rest: float = 0.0) -> None:
        self._capacity = waiting + 1
        self._patience = patience
        self._rest = rest
        self._inside = 0
        self._counter = threading.Lock()
        self._slot = threading.Lock()
        self._free_at = 0.0
        # The C library keeps the memory of a hash for the thread that computed it, so it is always the same thread.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="hash")

    @property
    def is_full(self) -> bool:
        """Whether the next caller would be refused at once."""
        return self._inside >= self._capacity

    def compute(self, function: Callable[[], T]) -> T:
        """What ``function`` returns, which computes a hash. Raises :class:`BusyError`."""
        with self.slot():
            return self._thread.submit(function).result()

    @contextmanager
    def slot(self) -> Iterator[None]:
        """The place of one hash, in which this block runs. Raises :class:`BusyError`."""
        with self._counter:
            if self.is_full:
                raise BusyError
            self._inside += 1
        try:
            if not self._slot.acquire(timeout=self._patience):
                raise BusyError
            try:
                with self._paced():
                    yield
            finally:
                self._slot.release()
        finally:
            with self._counter:
                self._inside -= 1

    @contextmanager
    def _paced(self) -> Iterator[None]:
        time.sleep(max(0.0, self._free_at - time.monotonic()))
        began = time.monotonic()
        try:
            yield
        finally:
            ended = time.monotonic()
            self._free_at = ended + min(LONGEST_REST, self._rest * (ended - began))


UNKNOWN_BROWSERS = HashQueue(waiting=4, patience=2.0, rest=4.0)
KNOWN_BROWSERS = HashQueue(waiting=8, patience=10.0)
"""For users who are logged in, and for browsers from which somebody has logged in before."""
_queue: ContextVar[HashQueue] = ContextVar("hash_queue", default=UNKNOWN_BROWSERS)


@contextmanager
def using(queue: HashQueue) -> Iterator[None]:
    """Hashes inside of this block are computed in ``queue``."""
    token = _queue.set(queue)
    try:
        yield
    finally:
        _queue.reset(token)


class Argon2Hasher(Argon2PasswordHasher):
    """Argon2id with the cost that OWASP recommends for servers with little memory: 19 MiB, two passes, one thread.

    Source: OWASP Password Storage Cheat Sheet, July 2026. Django's default takes 100 MiB and eight threads for each hash. A hash of
    another cost is replaced when its user logs in.
    """

    memory_cost = 19 * 1024
    time_cost = 2
    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        """See the base class. Raises :class:`BusyError`."""
        encode = super().encode
        return str(_queue.get().compute(lambda: encode(password, salt)))

    def verify(self, password: str, encoded: str) -> bool:
        """See the base class. Raises :class:`BusyError`."""
        verify = super().verify
        return bool(_queue.get().compute(lambda: verify(password, encoded)))


class PBKDF2Hasher(PBKDF2PasswordHasher):
    """Hashes of other systems, which are replaced when their user logs in."""

    def encode(self, password: str, salt: str, iterations: int | None = None) -> str:
        """See the base class, whose ``verify`` calls this too. Raises :class:`BusyError`."""
        encode = super().encode
        return str(_queue.get().compute(lambda: encode(password, salt, iterations)))

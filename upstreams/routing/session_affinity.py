"""Session affinity: the credential that a session used last, because its provider's prompt cache belongs to that credential."""

from __future__ import annotations

import math
from collections import OrderedDict

import msgspec

from accounts.common.steady_clock import steady_time
from upstreams.routing.cooldowns import Clock

AFFINITY_SECONDS = 3600.0
"""How long after its last request a session keeps its credential: providers' prompt caches live for at most an hour."""
MAX_SESSIONS = 50_000


class _Pin(msgspec.Struct):
    """A session's credential, until when it counts, and when other processes were last informed of it (``-inf``: never)."""

    credential_id: str
    until: float
    published_at: float = -math.inf


class Sessions:
    """The credential of each session. Beyond :data:`MAX_SESSIONS` the least recently used are removed."""

    def __init__(self, clock: Clock = steady_time) -> None:
        self._clock = clock
        self._pins: OrderedDict[str, _Pin] = OrderedDict()

    def credential_of(self, session: str) -> str | None:
        """The id of a session's credential, unless the session has been silent for :data:`AFFINITY_SECONDS`."""
        pin = self._pins.get(session)
        return None if pin is None or pin.until < self._clock() else pin.credential_id

    def reserve(self, session: str, credential_id: str) -> None:
        """Give a new session the credential of its first request already before the response: parallel requests follow it."""
        if self.credential_of(session) is None:
            self._store(session, _Pin(credential_id, self._clock() + AFFINITY_SECONDS))

    def pin(self, session: str, credential_id: str) -> bool:
        """A credential has served a session.

        True if other processes should be informed: the credential is another one, or half of :data:`AFFINITY_SECONDS` have
        passed since they were informed.
        """
        now, pin = self._clock(), self._pins.get(session)
        published_at = pin.published_at if pin is not None and pin.credential_id == credential_id else -math.inf
        is_due = published_at + AFFINITY_SECONDS / 2 < now
        self._store(session, _Pin(credential_id, now + AFFINITY_SECONDS, now if is_due else published_at))
        return is_due

    def active(self) -> list[tuple[str, str]]:
        """The sessions that have a credential, with its id."""
        now = self._clock()
        return [(session, pin.credential_id) for session, pin in list(self._pins.items()) if pin.until > now]

    def _store(self, session: str, pin: _Pin) -> None:
        self._pins[session] = pin
        self._pins.move_to_end(session)
        if len(self._pins) > MAX_SESSIONS:
            self._pins.popitem(last=False)

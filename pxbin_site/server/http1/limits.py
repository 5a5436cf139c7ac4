"""The limits of connections."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may use. Times are in seconds.

    ``max_body_bytes``: of one body. ``max_buffered_bytes``: of the bodies of all requests of the process together.
    ``max_keyless_bytes``: of all bodies that are incomplete and whose requests showed no valid key.
    ``body_timeout``: in each such interval at least ``body_progress`` bytes of a body must arrive. ``keyless_body_timeout``: time in
    which a body must be complete whose request showed no valid key. ``write_stall``: a client
    that reads nothing for this time is disconnected. ``linger_*``: how much of a refused body is discarded, and for how long,
    so that the client can read the answer. ``application_close``: after it, an application whose client has disconnected is
    cancelled.
    """

    max_body_bytes: int = 32 * 1024 * 1024
    header_timeout: float = 30.0
    body_timeout: float = 30.0
    body_progress: int = 1024
    keyless_body_timeout: float = 60.0
    max_buffered_bytes: int = 256 * 1024 * 1024
    max_keyless_bytes: int = 16 * 1024 * 1024
    max_running: int = 1_000_000
    max_lag: float = 0.0
    idle_timeout: float = 120.0
    write_stall: float = 300.0
    write_high_water: int = 64 * 1024
    max_head_bytes: int = 64 * 1024
    max_target_bytes: int = 16 * 1024
    max_headers: int = 200
    max_pipelined_bytes: int = 64 * 1024
    linger_bytes: int = 64 * 1024 * 1024
    linger_seconds: float = 10.0
    half_close_grace: float = 0.05
    application_close: float = 10.0

    @property
    def tick(self) -> float:
        """Interval in which deadlines are checked: a quarter of the shortest time-out, at most one second."""
        return min(1.0, min(self.header_timeout, self.body_timeout, self.idle_timeout, self.write_stall, self.linger_seconds) / 4)

"""The bounds of one connection, in bytes and seconds."""

from __future__ import annotations

import msgspec


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """What a client may use before anyone knows who it is.

    ``body_timeout``: within each such span at least ``body_progress`` bytes of a body must arrive. ``write_stall``: a client
    that accepts nothing for so long is cut. ``linger_*``: how much of a refused body is read and thrown away so that the
    client finds the answer. ``application_close``: what an application may still do after its client left.
    """

    max_body_bytes: int = 32 * 1024 * 1024
    header_timeout: float = 30.0
    body_timeout: float = 30.0
    body_progress: int = 1024
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
        """How often deadlines are looked at: fine enough for the shortest of them."""
        return min(1.0, min(self.header_timeout, self.body_timeout, self.idle_timeout, self.write_stall, self.linger_seconds) / 4)

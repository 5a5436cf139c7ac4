"""One request body while it is received: its decoder, its share of the memory, and the time that it has."""

from __future__ import annotations

from math import inf
from time import monotonic

from .body import Body, ChunkedBody, LengthBody
from .body_memory import Share
from .limits import Limits


class BodyReader:
    """Receives a body of ``length`` bytes, or a chunked one if it is None; ``share`` belongs to the request afterwards.

    ``deadline``: when the client must have sent more, in monotonic seconds. A body without a key has one for its end, too, so
    that nobody without a key keeps memory for long.
    """

    def __init__(self, length: int | None, share: Share, limits: Limits, *, has_key: bool) -> None:
        self._body: Body = ChunkedBody(limits.max_body_bytes) if length is None else LengthBody(length)
        self._limits = limits
        self._progress = 0
        self._last_moment = inf if has_key else monotonic() + limits.keyless_body_timeout
        self.share = share
        self.deadline = self._next_deadline()

    @property
    def is_behind(self) -> bool:
        """Whether :meth:`resume` is to be called in a later turn of the event loop, before more is read."""
        return self._body.is_behind

    def feed(self, data: bytes) -> bytes | None:
        """Decode the bytes of one read. Returns None while the body is incomplete, else the bytes after it.

        Raises ``RefusedError``: the body is malformed, too large, or there is no memory for it.
        """
        return self._counted(self._body.feed(data))

    def resume(self) -> bytes | None:
        """Decode what is left of the bytes that were fed; the result is that of :meth:`feed`."""
        return self._counted(self._body.resume())

    def content(self) -> bytes:
        """The whole body, once it is complete; raises ``RefusedError`` if there is no memory for it."""
        content = self._body.content()
        self.share.complete(len(content))
        return content

    def _counted(self, rest: bytes | None) -> bytes | None:
        if rest is None:
            self.share.resize(self._body.size)
            if self._body.taken - self._progress >= self._limits.body_progress:
                self._progress = self._body.taken
                self.deadline = self._next_deadline()
        return rest

    def _next_deadline(self) -> float:
        return min(monotonic() + self._limits.body_timeout, self._last_moment)

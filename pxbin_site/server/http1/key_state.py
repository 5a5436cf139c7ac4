"""What the head of a request says about its key, before the body is read."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from pxbin_site.server.http1.head import Head


class KeyState(Enum):
    """Whether the key of a request is known."""

    KNOWN = "known"
    """The key is valid: the body may use the memory of all bodies."""
    NOT_CACHED = "not cached"
    """The key has to be looked up in the database first."""
    KEYLESS = "keyless"
    """There is no valid key, but the path or the model may need none: the body uses the memory for those."""
    REFUSED = "refused"
    """No body can make the request valid: it is answered without reading it."""


class KeyGate(Protocol):
    """Decides before a body is read. Neither method raises."""

    def check(self, head: Head) -> KeyState:
        """The state of the key, from memory."""

    async def look_up(self, head: Head) -> KeyState:
        """The state of a key that is not cached; never ``NOT_CACHED``."""


class OpenGate:
    """The gate of a server without keys."""

    def check(self, head: Head) -> KeyState:  # noqa: ARG002  (the signature of a KeyGate)
        """Every request may send a body."""
        return KeyState.KNOWN

    async def look_up(self, head: Head) -> KeyState:
        """Every request may send a body."""
        return self.check(head)

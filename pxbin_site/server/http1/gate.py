"""Whether the body of a request is received, decided from its head."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol

from pxbin_site.server.http1.head import Head


class Verdict(NamedTuple):
    """What a gate decides. ``has_key``: the request showed a valid key.

    ``refusal``: what the application needs to refuse the request, which it then gets without its body, as the extension
    ``pxbin.refusal`` of the ASGI scope.
    """

    has_key: bool
    refusal: object | None = None


WITH_KEY, WITHOUT_KEY = Verdict(has_key=True), Verdict(has_key=False)


class Gate(Protocol):
    """Decides about requests whose body has not arrived with the head."""

    def read_query(self, head: Head) -> None:
        """Called first, for a head with a query: a key in it becomes a header."""

    def decide(self, path: str, headers: Sequence[tuple[bytes, bytes]]) -> Verdict | None:
        """The verdict, or ``None`` if it takes :meth:`look_up`."""

    async def look_up(self, headers: Sequence[tuple[bytes, bytes]]) -> Verdict:
        """The verdict after a look into the database."""


class OpenGate:
    """Receives all bodies; only the bound of all bodies together counts."""

    def read_query(self, head: Head) -> None:
        """See :class:`Gate`."""

    def decide(self, path: str, headers: Sequence[tuple[bytes, bytes]]) -> Verdict | None:  # noqa: ARG002
        """See :class:`Gate`."""
        return WITH_KEY

    async def look_up(self, headers: Sequence[tuple[bytes, bytes]]) -> Verdict:  # noqa: ARG002
        """See :class:`Gate`."""
        return WITH_KEY

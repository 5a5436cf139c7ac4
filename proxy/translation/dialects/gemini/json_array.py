"""Streams without ``alt=sse``: one JSON array, whose elements are the chunks (docs/wire-formats.md, section 16.1)."""

from __future__ import annotations

from collections.abc import Mapping

from proxy.translation.dialects.client_api import StreamForm

_DATA = b"data: "


class ArrayWriter:
    """A :class:`~proxy.translation.dialects.client_api.StreamWriter`."""

    def __init__(self) -> None:
        self._opened = False

    def feed(self, piece: bytes) -> bytes:
        chunks = [event[len(_DATA) :] for event in piece.split(b"\n\n") if event.startswith(_DATA)]
        if not chunks:
            return b""
        lead = b",\r\n" if self._opened else b"["
        self._opened = True
        return lead + b",\r\n".join(chunks)

    def close(self) -> bytes:
        return b"]" if self._opened else b"[]"


ARRAY = StreamForm(
    media_type="application/json",
    keepalive=b"\n",
    writer=ArrayWriter,
    whole=lambda body: b"[" + body + b"]",
)


def stream_form(query: Mapping[str, str]) -> StreamForm | None:
    """The form that the query asks for; ``None`` for server-sent events."""
    return None if query.get("alt", query.get("$alt", "json")).lower() == "sse" else ARRAY

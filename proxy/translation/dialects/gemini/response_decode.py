"""Decodes a whole response: a stream of one chunk."""

from __future__ import annotations

from proxy.translation.accumulate import accumulate
from proxy.translation.canonical import Failed, Response
from proxy.translation.dialects.gemini.stream_decode import decoder
from proxy.translation.errors import Failure, UpstreamFailed
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import Quirks


def decode_response(body: bytes, quirks: Quirks) -> Response:
    """Raises :class:`UpstreamFailed` if the body of the 200 is an error object, or has no candidate that is complete."""
    reading = decoder(quirks)
    events = [*reading.feed(Frame(body)), *reading.close()]
    last = events[-1] if events else None
    if isinstance(last, Failed) and last.failure.kind == "network":
        failure = Failure(kind="bad_gateway", message="The upstream response has no complete candidate.")
        raise UpstreamFailed(failure, answered=True)
    return accumulate(events)

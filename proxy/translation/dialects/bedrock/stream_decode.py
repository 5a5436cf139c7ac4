"""Frames of a Bedrock upstream to canonical events: chunks with Messages events, and exceptions."""

from __future__ import annotations

from proxy.translation.canonical import Event
from proxy.translation.dialects.anthropic.stream_decode import AnthropicStreamDecoder
from proxy.translation.dialects.bedrock.errors import stream_failure
from proxy.translation.framing.eventstream import CHUNK
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import Quirks


class BedrockStreamDecoder:
    """A :class:`~proxy.translation.dialects.base.StreamDecoder`. An exception frame ends the stream with ``Failed``."""

    def __init__(self) -> None:
        self._inner = AnthropicStreamDecoder()

    def feed(self, frame: Frame) -> list[Event]:
        if frame.event == CHUNK:
            return self._inner.feed(frame)
        return self._inner.fail(stream_failure(frame.event, frame.data))

    def close(self) -> list[Event]:
        return self._inner.close()


def decoder(quirks: Quirks) -> BedrockStreamDecoder:  # noqa: ARG001 -- every dialect's decoder takes the quirks
    """A decoder for one upstream stream; no quirk concerns a Bedrock stream."""
    return BedrockStreamDecoder()

"""The stream: Messages events inside Amazon's frames, and exceptions beside them."""

from __future__ import annotations

from proxy.translation import json_wire
from proxy.translation.canonical import Event, Failed, Started, Usage, UsageReported
from proxy.translation.dialects.anthropic.decoder import Decoder as MessagesDecoder
from proxy.translation.dialects.anthropic.encoder import Encoder as MessagesEncoder
from proxy.translation.dialects.anthropic.stream import relay
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.bedrock.errors import exception_of, stream_failure
from proxy.translation.errors import Failure
from proxy.translation.framing.eventstream import CHUNK, write
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import Quirks

__all__ = ["PING", "break_off", "decoder", "encoder", "relay"]

PING = write(Frame(b'{"type":"ping"}', CHUNK))


class Decoder:
    """The events of the chunks; an exception ends the stream."""

    def __init__(self) -> None:
        self._inner = MessagesDecoder()

    def feed(self, frame: Frame) -> list[Event]:
        """The events of one frame."""
        if frame.event == CHUNK:
            return self._inner.feed(frame)
        return self._inner.fail(stream_failure(frame.event, frame.data))

    def close(self) -> list[Event]:
        """A stream without ``message_stop`` is broken."""
        return self._inner.close()


class Encoder:
    """Messages events as chunks; the last one tells the token counts where boto3's users look for them."""

    def __init__(self, reply: EncodeContext) -> None:
        self._inner = MessagesEncoder(reply)
        self._usage: Usage | None = None

    def feed(self, event: Event) -> list[Frame]:
        """The frames of one event."""
        if isinstance(event, Failed):
            return break_off(event.failure, 0)
        if isinstance(event, Started | UsageReported):
            self._usage = event.usage
        return [Frame(self._measured() if frame.event == "message_stop" else frame.data, CHUNK) for frame in self._inner.feed(event)]

    def _measured(self) -> bytes:
        if self._usage is None:
            return b'{"type":"message_stop"}'
        counts = {"inputTokenCount": self._usage.fresh, "outputTokenCount": self._usage.output}
        if self._usage.cache_read or self._usage.cache_write:
            counts |= {"cacheReadInputTokenCount": self._usage.cache_read, "cacheWriteInputTokenCount": self._usage.cache_write}
        return json_wire.encode({"type": "message_stop", "amazon-bedrock-invocationMetrics": counts})


def decoder(quirks: Quirks) -> Decoder:  # noqa: ARG001 -- every dialect's decoder takes the quirks
    """A machine for one upstream stream."""
    return Decoder()


def encoder(reply: EncodeContext) -> Encoder:
    """A machine for one client stream."""
    return Encoder(reply)


def break_off(failure: Failure, frames_sent: int) -> list[Frame]:  # noqa: ARG001 -- the signature of all dialects
    """The exception that ends a stream which broke."""
    name, message = exception_of(failure)
    return [Frame(json_wire.encode({"message": message}), name)]

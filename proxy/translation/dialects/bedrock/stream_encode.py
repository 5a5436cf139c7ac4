"""Canonical events to frames for a Bedrock client: chunks with Messages events, and exceptions."""

from __future__ import annotations

from proxy.translation import json_wire
from proxy.translation.canonical import Event, Failed, Started, Usage, UsageReported
from proxy.translation.dialects.anthropic.stream_encode import AnthropicStreamEncoder
from proxy.translation.dialects.base import EncodeContext
from proxy.translation.dialects.bedrock.errors import stream_exception
from proxy.translation.errors import Failure
from proxy.translation.framing.eventstream import CHUNK
from proxy.translation.framing.sse import Frame


class BedrockStreamEncoder:
    """A :class:`~proxy.translation.dialects.base.StreamEncoder`.

    The last chunk has the token counts in ``amazon-bedrock-invocationMetrics``, where users of boto3 read them.
    """

    def __init__(self, context: EncodeContext) -> None:
        self._inner = AnthropicStreamEncoder(context)
        self._usage: Usage | None = None

    def feed(self, event: Event) -> list[Frame]:
        if isinstance(event, Failed):
            return break_off(event.failure, 0)
        if isinstance(event, Started | UsageReported):
            self._usage = event.usage
        return [Frame(self._message_stop() if frame.event == "message_stop" else frame.data, CHUNK) for frame in self._inner.feed(event)]

    def _message_stop(self) -> bytes:
        if self._usage is None:
            return b'{"type":"message_stop"}'
        counts = {"inputTokenCount": self._usage.fresh, "outputTokenCount": self._usage.output}
        if self._usage.cache_read or self._usage.cache_write:
            counts |= {"cacheReadInputTokenCount": self._usage.cache_read, "cacheWriteInputTokenCount": self._usage.cache_write}
        return json_wire.encode({"type": "message_stop", "amazon-bedrock-invocationMetrics": counts})


def encoder(context: EncodeContext) -> BedrockStreamEncoder:
    """An encoder for one client stream."""
    return BedrockStreamEncoder(context)


def break_off(failure: Failure, frames_sent: int) -> list[Frame]:  # noqa: ARG001 -- the signature of all dialects
    """The exception frame that ends a broken stream."""
    name, message = stream_exception(failure)
    return [Frame(json_wire.encode({"message": message}), name)]

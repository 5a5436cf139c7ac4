"""Streams: decoded, encoded, relayed and broken off."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from proxy import wire
from proxy.dialects.openai_responses.response import patch_response
from proxy.dialects.openai_responses.stream_decode import decoder
from proxy.dialects.openai_responses.stream_encode import break_off, encoder
from proxy.framing.sse import Frame

__all__ = ["break_off", "decoder", "encoder", "relay"]

_FIELDS_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:  # noqa: ARG001 - usage is never hidden here
    """Frames as they came; a renamed model is told by the client's name for it."""
    if model is None:
        return _unchanged
    name = model

    def renamed(frame: Frame) -> Frame | None:
        if b'"response"' not in frame.data:
            return frame
        try:
            fields = _FIELDS_DECODER.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return frame
        if "response" not in fields:
            return frame
        fields["response"] = msgspec.Raw(patch_response(bytes(fields["response"]), name))
        return Frame(wire.encode(fields), frame.event)

    return renamed


def _unchanged(frame: Frame) -> Frame | None:
    return frame

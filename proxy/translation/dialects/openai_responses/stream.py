"""Streams: decoded, encoded, relayed and broken off."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from proxy.translation import json_wire
from proxy.translation.dialects.base import named
from proxy.translation.dialects.openai_responses.response import patch_response
from proxy.translation.dialects.openai_responses.stream_decode import decoder
from proxy.translation.dialects.openai_responses.stream_encode import break_off, encoder
from proxy.translation.framing.sse import Frame

__all__ = ["break_off", "decoder", "encoder", "relay"]

_FIELDS_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:  # noqa: ARG001 - usage is never hidden here
    """Frames as they came, but for an ``event:`` line that the server left out; a renamed model is told by the client's name for it."""
    if model is None:
        return named
    name = model

    def renamed(frame: Frame) -> Frame | None:
        if b'"response"' not in frame.data:
            return named(frame)
        try:
            fields = _FIELDS_DECODER.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return frame
        if "response" not in fields:
            return named(frame)
        fields["response"] = msgspec.Raw(patch_response(bytes(fields["response"]), name))
        return named(Frame(json_wire.encode(fields), frame.event))

    return renamed

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


class _Head(msgspec.Struct):
    type: str = ""


_HEAD_DECODER = msgspec.json.Decoder(_Head)
_FIELDS_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:  # noqa: ARG001 - usage is never hidden here
    """Frames as they came, but for an ``event:`` line that the server left out; a renamed model is told by the client's name for it."""
    if model is None:
        return _named
    name = model

    def renamed(frame: Frame) -> Frame | None:
        if b'"response"' not in frame.data:
            return _named(frame)
        try:
            fields = _FIELDS_DECODER.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return frame
        if "response" not in fields:
            return _named(frame)
        fields["response"] = msgspec.Raw(patch_response(bytes(fields["response"]), name))
        return _named(Frame(wire.encode(fields), frame.event))

    return renamed


def _named(frame: Frame) -> Frame:
    """The frame with its ``event:`` line; SDKs refuse events that have none."""
    if frame.event:
        return frame
    try:
        return Frame(frame.data, _HEAD_DECODER.decode(frame.data).type)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return frame

"""The stream, both ways: the two machines, and the relay between an upstream and a client of this same dialect."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.anthropic.decoder import Decoder
from proxy.translation.dialects.anthropic.encoder import Encoder, error_frame
from proxy.translation.dialects.base import EncodeContext, named
from proxy.translation.errors import Failure
from proxy.translation.framing.sse import Frame
from proxy.translation.quirks import Quirks

PING = b'event: ping\ndata: {"type":"ping"}\n\n'
_FIELDS = msgspec.json.Decoder(dict[str, Raw])


def decoder(quirks: Quirks) -> Decoder:  # noqa: ARG001 -- every dialect's decoder takes the quirks
    """A machine for one upstream stream."""
    return Decoder()


def encoder(reply: EncodeContext) -> Encoder:
    """A machine for one client stream."""
    return Encoder(reply)


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:  # noqa: ARG001 -- the signature of all dialects
    """Frames as they came, but for the model's name in ``message_start`` and for an ``event:`` line that the server left out."""
    if model is None:
        return named
    name = Raw(json_wire.encode(model))

    def renamed(frame: Frame) -> Frame:
        return named(_with_model(frame, name) if b'"message_start"' in frame.data else frame)

    return renamed


def break_off(failure: Failure, frames_sent: int) -> list[Frame]:  # noqa: ARG001 -- the signature of all dialects
    """The error event that ends a relayed stream which broke."""
    return [error_frame(failure)]


def _with_model(frame: Frame, name: Raw) -> Frame:
    try:
        fields = _FIELDS.decode(frame.data)
        if bytes(fields.get("type", b"")) != b'"message_start"':
            return frame
        message = _FIELDS.decode(fields["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return frame
    if "model" not in message:
        return frame
    return Frame(json_wire.encode(fields | {"message": Raw(json_wire.encode(message | {"model": name}))}), frame.event)

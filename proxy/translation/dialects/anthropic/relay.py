"""The stream, both ways: the two machines, and the relay between an upstream and a client of this same dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.dialects.anthropic.carriers import TRACE, without_carriers
from proxy.translation.dialects.anthropic.wire import OBJECT, present
from proxy.translation.dialects.base import EncodeTarget, named
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope

PING = b'event: ping\ndata: {"type":"ping"}\n\n'


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:  # noqa: ARG001 -- the signature of all dialects
    """Frames as they came, but for the model's name in ``message_start`` and for an ``event:`` line that the server left out."""
    if model is None:
        return named
    name = Raw(json_wire.encode(model))

    def renamed(frame: Frame) -> Frame:
        return named(_with_model(frame, name) if b'"message_start"' in frame.data else frame)

    return renamed


def _with_model(frame: Frame, name: Raw) -> Frame:
    try:
        fields = OBJECT.decode(frame.data)
        if bytes(fields.get("type", b"")) != b'"message_start"':
            return frame
        message = OBJECT.decode(fields["message"])
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, KeyError):
        return frame
    if "model" not in message:
        return frame
    return Frame(json_wire.encode(fields | {"message": Raw(json_wire.encode(message | {"model": name}))}), frame.event)


def patch_response(body: bytes, model: str) -> bytes:
    """The upstream's own body under the client's name for the model; what is no object goes as it came."""
    try:
        fields = OBJECT.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    if "model" not in fields:
        return body
    return json_wire.encode(fields | {"model": Raw(json_wire.encode(model))})


class _Kind(msgspec.Struct):
    type: Any = None


_KIND = msgspec.json.Decoder(_Kind)


def _given(fields: dict[str, Raw], name: str) -> bool:
    return name in fields and present(fields[name])


def patch_request(envelope: Envelope, destination: EncodeTarget, seal_key: bytes) -> bytes:
    """The client's body for an Anthropic upstream: its model name, the streaming switch, our carriers gone."""
    fields = patch_fields(envelope.fields, seal_key)
    if destination.model != envelope.model:
        fields["model"] = Raw(json_wire.encode(destination.model))
    if destination.stream != envelope.stream:
        fields["stream"] = Raw(b"true" if destination.stream else b"false")
    return json_wire.encode(fields)


def patch_fields(fields: dict[str, Raw], seal_key: bytes) -> dict[str, Raw]:
    """A copy of the fields without our carriers; manual thinking goes too where the API would miss a dropped block."""
    patched = dict(fields)
    if TRACE not in bytes(fields["messages"]):
        return patched
    patched["messages"], loop_broken = without_carriers(fields["messages"], seal_key)
    if loop_broken and _given(fields, "thinking") and _KIND.decode(fields["thinking"]).type == "enabled":
        del patched["thinking"]
    return patched

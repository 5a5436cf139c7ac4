"""Requests: opened, decoded, encoded, and patched for an upstream of the same dialect."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.dialects.base import EncodeTarget, named
from proxy.translation.dialects.openai_responses import compaction
from proxy.translation.dialects.openai_responses.request_decode import NO_BACKGROUND
from proxy.translation.dialects.openai_responses.request_encode_input import opens, own_fields
from proxy.translation.dialects.openai_responses.wire import CONTINUES, KEEPS, raw_items
from proxy.translation.errors import ClientMistake
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope

_MARK = reasoning_seal.PREFIX.encode()


class _Sealed(msgspec.Struct):
    """What may hold a carrier."""

    type: str | None = None
    encrypted_content: str | None = None
    summary: msgspec.Raw = msgspec.Raw(b"[]")


_SEALED_DECODER = msgspec.json.Decoder(_Sealed)
_FIELDS_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


# --- requests --------------------------------------------------------------------------------------------------------


def patch_request(envelope: Envelope, destination: EncodeTarget, seal_key: bytes) -> bytes:
    """The client's body with the upstream's model name and without our carriers; all else as it was.

    Raises :class:`ClientMistake` for a background response that is not streamed: it would be made (and billed) for nobody,
    because only the upstream could be asked for it later.
    """
    fields = dict(envelope.fields)
    if not envelope.stream and bytes(fields.get("background", b"false")) == b"true":
        raise ClientMistake(NO_BACKGROUND, param="background")
    fields.pop(CONTINUES, None)
    fields.pop(KEEPS, None)
    fields["model"] = msgspec.Raw(json_wire.encode(destination.model))
    if destination.stream != envelope.stream:
        fields.pop("stream", None)
        if destination.stream:
            fields["stream"] = msgspec.Raw(b"true")
        else:
            fields.pop("stream_options", None)
    given = fields.get("input")
    if given is not None and _MARK in bytes(given):
        fields["input"] = _unsealed(given, destination.upstream, seal_key)
    return json_wire.encode(fields)


def _unsealed(given: msgspec.Raw, upstream: str, seal_key: bytes) -> msgspec.Raw:
    """The input with what our carriers stand for: this upstream's own item, a summary's words, or nothing."""
    if not bytes(given).lstrip().startswith(b"["):
        return given
    kept: list[object] = []
    for position, item in enumerate(raw_items(given)):
        if _MARK not in bytes(item):
            kept.append(item)
            continue
        sealed = json_wire.decode(item, _SEALED_DECODER, at=f"input.{position}")
        carrier = sealed.encrypted_content or ""
        if not reasoning_seal.is_carrier(carrier):
            kept.append(item)
        elif sealed.type == "compaction":
            kept += _summary(carrier, seal_key)
        else:
            kept += _own_reasoning(sealed, upstream, seal_key)
    return msgspec.Raw(json_wire.encode(kept))


def _summary(carrier: str, seal_key: bytes) -> list[object]:
    words = compaction.opened(carrier, seal_key)
    if words is None:
        return []
    return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": words}]}]


def _own_reasoning(sealed: _Sealed, upstream: str, seal_key: bytes) -> list[object]:
    seal = reasoning_seal.unpack(sealed.encrypted_content or "", seal_key)
    if seal is None or not opens(seal, upstream):
        return []
    return [{"type": "reasoning", **own_fields(seal), "summary": sealed.summary}]


# --- responses and streams -------------------------------------------------------------------------------------------


def patch_response(body: bytes, model: str) -> bytes:
    """The upstream's object under the model's name that the client knows."""
    try:
        fields = _FIELDS_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    if "model" not in fields:
        return body
    return json_wire.encode({**fields, "model": model})


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

"""Requests, responses and streams between a Responses client and a Responses upstream: unchanged but for a few fields.

They are the model's name, the switch for streaming, the fields of the gateway and our carriers (docs/wire-formats.md, section 6.1).
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.dialects.base import EncodeTarget, with_event_name
from proxy.translation.dialects.openai_responses import compaction
from proxy.translation.dialects.openai_responses.request_decode import BACKGROUND_UNSUPPORTED
from proxy.translation.dialects.openai_responses.request_encode_input import can_open, reasoning_item
from proxy.translation.dialects.openai_responses.wire import PREVIOUS_ID_FIELD, STORED_FIELD, raw_items
from proxy.translation.errors import ClientMistake
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope

_CARRIER_PREFIX = reasoning_seal.PREFIX.encode()


class _SealedItem(msgspec.Struct):
    """The fields of an item that may hold a carrier."""

    type: str | None = None
    encrypted_content: str | None = None
    summary: msgspec.Raw = msgspec.Raw(b"[]")


_SEALED_DECODER = msgspec.json.Decoder(_SealedItem)
_SUMMARY_DECODER = msgspec.json.Decoder(list[dict[str, str]])
_FIELDS_DECODER = msgspec.json.Decoder(dict[str, msgspec.Raw])


# --- requests --------------------------------------------------------------------------------------------------------


def patch_request(envelope: Envelope, target: EncodeTarget, seal_key: bytes) -> bytes:
    """The client's body with the upstream's model name and without our carriers; everything else as received.

    Raises :class:`ClientMistake` for a background response that is not streamed, if the gateway does not remember where it is: the
    client could not retrieve it, but the provider would bill it.
    """
    fields = dict(envelope.fields)
    if not target.follows_objects and not envelope.stream and bytes(fields.get("background", b"false")) == b"true":
        raise ClientMistake(BACKGROUND_UNSUPPORTED, param="background")
    fields.pop(PREVIOUS_ID_FIELD, None)
    fields.pop(STORED_FIELD, None)
    fields["model"] = msgspec.Raw(json_wire.encode(target.model))
    if target.stream != envelope.stream:
        fields.pop("stream", None)
        if target.stream:
            fields["stream"] = msgspec.Raw(b"true")
        else:
            fields.pop("stream_options", None)
    raw_input = fields.get("input")
    if raw_input is not None and _CARRIER_PREFIX in bytes(raw_input):
        fields["input"] = _replace_carriers(raw_input, target.upstream, seal_key)
    return json_wire.encode(fields)


def _replace_carriers(raw_input: msgspec.Raw, upstream: str, seal_key: bytes) -> msgspec.Raw:
    """The input with each carrier replaced by its content: the reasoning item of this upstream, the text of a summary, or nothing."""
    if not bytes(raw_input).lstrip().startswith(b"["):
        return raw_input
    items: list[object] = []
    for position, item in enumerate(raw_items(raw_input)):
        if _CARRIER_PREFIX not in bytes(item):
            items.append(item)
            continue
        sealed_item = json_wire.decode(item, _SEALED_DECODER, at=f"input.{position}")
        carrier = sealed_item.encrypted_content or ""
        if not reasoning_seal.is_carrier(carrier):
            items.append(item)
        elif sealed_item.type == "compaction":
            items += _summary_message(carrier, seal_key)
        else:
            items += _provider_reasoning(sealed_item, upstream, seal_key)
    return msgspec.Raw(json_wire.encode(items))


def _summary_message(carrier: str, seal_key: bytes) -> list[object]:
    summary = compaction.unpack_summary(carrier, seal_key)
    if summary is None:
        return []
    return [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": summary}]}]


def _provider_reasoning(sealed_item: _SealedItem, upstream: str, seal_key: bytes) -> list[object]:
    seal = reasoning_seal.unpack(sealed_item.encrypted_content or "", seal_key)
    if seal is None or not can_open(seal, upstream):
        return []
    return [reasoning_item(seal, json_wire.decode(sealed_item.summary, _SUMMARY_DECODER, at="summary"))]


# --- responses and streams -------------------------------------------------------------------------------------------


def patch_response(body: bytes, model: str) -> bytes:
    """The upstream's response object with the client's name of the model."""
    try:
        fields = _FIELDS_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    if "model" not in fields:
        return body
    return json_wire.encode({**fields, "model": model})


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:  # noqa: ARG001 - usage is always sent
    """A function from an upstream's frame to the client's.

    It adds an ``event:`` line that the server left out, and replaces the model's name by ``model`` unless that is ``None``.
    """
    if model is None:
        return with_event_name
    client_model = model

    def relay_frame(frame: Frame) -> Frame | None:
        if b'"response"' not in frame.data:
            return with_event_name(frame)
        try:
            fields = _FIELDS_DECODER.decode(frame.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return frame
        if "response" not in fields:
            return with_event_name(frame)
        fields["response"] = msgspec.Raw(patch_response(bytes(fields["response"]), client_model))
        return with_event_name(Frame(json_wire.encode(fields), frame.event))

    return relay_frame

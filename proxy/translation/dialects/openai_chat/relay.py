"""Requests, responses and streams between a Chat client and a Chat upstream: unchanged but for a few fields.

They are the model's name, the switches for streaming and usage, and our carriers (docs/wire-formats.md, section 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.openai_chat.request_decode import body_of
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope
from proxy.translation.quirks import Quirks

_MODEL_MEMBER = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OPTIONS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_CARRIER = reasoning_seal.PREFIX.encode()
_TRUE = msgspec.Raw(b"true")


class _ChunkUsage(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"")


_CHUNK_USAGE = msgspec.json.Decoder(_ChunkUsage)


# --- requests --------------------------------------------------------------------------------------------------------


def patch_request(envelope: Envelope, target: EncodeTarget, seal_key: bytes) -> bytes:  # noqa: ARG001 - removes all carriers
    """The client's body for a Chat upstream: with its model name and switches for streaming and usage, without our carriers."""
    fields = dict(envelope.fields)
    fields["model"] = msgspec.Raw(json_wire.encode(target.model))
    if target.stream != envelope.stream:
        fields["stream"] = _TRUE if target.stream else msgspec.Raw(b"false")
    if not target.stream:
        fields.pop("stream_options", None)
    elif target.quirks.stream_usage:
        fields["stream_options"] = _include_usage(fields.get("stream_options"))
    if any(message.reasoning_details for message in body_of(envelope).messages):
        fields["messages"] = _without_carriers(fields["messages"], target.quirks)
    return json_wire.encode(fields)


def _include_usage(options: msgspec.Raw | None) -> msgspec.Raw:
    fields: dict[str, msgspec.Raw] = (json_wire.decode(options, _OPTIONS, at="stream_options") or {}) if options else {}
    return msgspec.Raw(json_wire.encode({**fields, "include_usage": _TRUE}))


def _without_carriers(messages: msgspec.Raw, quirks: Quirks) -> msgspec.Raw:
    """The messages without the reasoning in our carriers; everything else as received."""
    raw_messages = json_wire.decode(messages, _RAW_LIST, at="messages")
    return msgspec.Raw(
        json_wire.encode([_message_without_carriers(raw, quirks) if _CARRIER in bytes(raw) else raw for raw in raw_messages])
    )


def _message_without_carriers(raw: msgspec.Raw, quirks: Quirks) -> Any:
    message = json_wire.decode(raw, _FIELDS, at="messages")
    details = message.get("reasoning_details")
    if details is None or bytes(details)[:1] != b"[":
        return raw
    entries = json_wire.decode(details, _RAW_LIST, at="messages")
    foreign = [entry for entry in entries if not _has_carrier(entry)]
    if len(foreign) == len(entries):
        return raw
    if foreign:
        message["reasoning_details"] = msgspec.Raw(json_wire.encode(foreign))
        return message
    # The visible text is that of the sealed parts: reasoning of another provider, which no other provider may get.
    del message["reasoning_details"]
    message.pop("reasoning_content", None)
    if quirks.requires_reasoning_content and "tool_calls" in message:
        message["reasoning_content"] = msgspec.Raw(b'""')
    return message


def _has_carrier(entry: msgspec.Raw) -> bool:
    if bytes(entry)[:1] != b"{":
        return False
    fields = json_wire.decode(entry, _FIELDS, at="messages")
    return any(bytes(fields.get(key, b"")).startswith(b'"' + _CARRIER) for key in ("signature", "data"))


# --- responses and streams -------------------------------------------------------------------------------------------


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:
    """A function from an upstream's frame to the client's, or to ``None`` for a frame that the client does not get.

    ``model``: the name that replaces the upstream's; ``None``: no replacement. ``hide_usage``: drop the chunk that holds usage alone,
    because the client did not request it.
    """
    client_model = None if model is None else msgspec.json.encode(model)
    upstream_member, client_member = b"", b"" if client_model is None else b'"model":' + client_model

    def relay_frame(frame: Frame) -> Frame | None:
        nonlocal upstream_member
        data = frame.data
        if hide_usage and b'"usage"' in data and _is_usage_only(data):
            return None
        if client_model is None:
            return frame
        if upstream_member and upstream_member in data and data.count(b'"model"') == 1:
            return Frame(data.replace(upstream_member, client_member), frame.event)
        changed = replace_model(data, client_model)
        if changed is data:
            return frame
        # All chunks of a stream have the same bytes for the model, so the next ones need no regular expression.
        match = _MODEL_MEMBER.search(data)
        upstream_member = match[0] if match else b""
        return Frame(changed, frame.event)

    return relay_frame


def _is_usage_only(data: bytes) -> bool:
    try:
        chunk = _CHUNK_USAGE.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return chunk.choices == [] and bytes(chunk.usage) not in (b"", b"null")


def replace_model(data: bytes, model: bytes) -> bytes:
    """The JSON object ``data`` with its top-level ``model`` set to ``model``, a JSON string; all other bytes unchanged.

    A quoted ``"model"`` before a colon is always a key, because quotes inside strings are escaped. The object is decoded only if it
    has several such keys.
    """
    if data.count(b'"model"') == 1:
        return _MODEL_MEMBER.sub(lambda _: b'"model":' + model, data, count=1)
    if b'"model"' not in data:
        return data
    try:
        fields = _FIELDS.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    if "model" not in fields:
        return data
    fields["model"] = msgspec.Raw(model)
    return msgspec.json.encode(fields)

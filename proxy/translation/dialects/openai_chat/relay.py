"""Chat streams and answers within the dialect: passed on as they came, but for the model's name (section 6.1)."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.openai_chat.request_decode import typed_body
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope
from proxy.translation.quirks import Quirks

_MODEL = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OPTIONS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_CARRIER = reasoning_seal.PREFIX.encode()
_TRUE = msgspec.Raw(b"true")


class _Ends(msgspec.Struct):
    choices: list[msgspec.Raw] | None = None
    usage: msgspec.Raw = msgspec.Raw(b"")


_ENDS = msgspec.json.Decoder(_Ends)


# --- requests --------------------------------------------------------------------------------------------------------


def patch_request(envelope: Envelope, destination: EncodeTarget, seal_key: bytes) -> bytes:  # noqa: ARG001 - all carriers go, whoever made them
    """The client's body for a chat upstream: model, streaming and usage switches, without our carriers."""
    fields = dict(envelope.fields)
    fields["model"] = msgspec.Raw(json_wire.encode(destination.model))
    if destination.stream != envelope.stream:
        fields["stream"] = _TRUE if destination.stream else msgspec.Raw(b"false")
    if not destination.stream:
        fields.pop("stream_options", None)
    elif destination.quirks.stream_usage:
        fields["stream_options"] = _with_usage(fields.get("stream_options"))
    if any(message.reasoning_details for message in typed_body(envelope).messages):
        fields["messages"] = _without_carriers(fields["messages"], destination.quirks)
    return json_wire.encode(fields)


def _with_usage(options: msgspec.Raw | None) -> msgspec.Raw:
    wanted: dict[str, msgspec.Raw] = (json_wire.decode(options, _OPTIONS, at="stream_options") or {}) if options else {}
    return msgspec.Raw(json_wire.encode({**wanted, "include_usage": _TRUE}))


def _without_carriers(messages: msgspec.Raw, quirks: Quirks) -> msgspec.Raw:
    """The messages without the reasoning that our carriers seal; all else as received."""
    listed = json_wire.decode(messages, _RAW_LIST, at="messages")
    return msgspec.Raw(json_wire.encode([_message_without_carriers(raw, quirks) if _CARRIER in bytes(raw) else raw for raw in listed]))


def _message_without_carriers(raw: msgspec.Raw, quirks: Quirks) -> Any:
    message = json_wire.decode(raw, _FIELDS, at="messages")
    details = message.get("reasoning_details")
    if details is None or bytes(details)[:1] != b"[":
        return raw
    entries = json_wire.decode(details, _RAW_LIST, at="messages")
    own = [entry for entry in entries if not _holds_carrier(entry)]
    if len(own) == len(entries):
        return raw
    if own:
        message["reasoning_details"] = msgspec.Raw(json_wire.encode(own))
        return message
    # The visible text is what the sealed parts say: another provider's thoughts, which go back to nobody else.
    del message["reasoning_details"]
    message.pop("reasoning_content", None)
    if quirks.requires_reasoning_content and "tool_calls" in message:
        message["reasoning_content"] = msgspec.Raw(b'""')
    return message


def _holds_carrier(entry: msgspec.Raw) -> bool:
    if bytes(entry)[:1] != b"{":
        return False
    fields = json_wire.decode(entry, _FIELDS, at="messages")
    return any(bytes(fields.get(key, b"")).startswith(b'"' + _CARRIER) for key in ("signature", "data"))


# --- responses and streams -------------------------------------------------------------------------------------------


def relay(model: str | None, hide_usage: bool) -> Callable[[Frame], Frame | None]:
    """From the upstream's chunk to the client's: the model's name, and no usage chunk that nobody asked for."""
    name = None if model is None else msgspec.json.encode(model)
    theirs, ours = b"", b"" if name is None else b'"model":' + name

    def pass_on(frame: Frame) -> Frame | None:
        nonlocal theirs
        data = frame.data
        if hide_usage and b'"usage"' in data and _is_usage_only(data):
            return None
        if name is None:
            return frame
        if theirs and theirs in data and data.count(b'"model"') == 1:
            return Frame(data.replace(theirs, ours), frame.event)
        changed = renamed(data, name)
        if changed is data:
            return frame
        # Every chunk of a stream names the model in the same bytes: found once, they are replaced without a search for their end.
        found = _MODEL.search(data)
        theirs = found[0] if found else b""
        return Frame(changed, frame.event)

    return pass_on


def _is_usage_only(data: bytes) -> bool:
    try:
        ends = _ENDS.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
    return ends.choices == [] and bytes(ends.usage) not in (b"", b"null")


def renamed(data: bytes, name: bytes) -> bytes:
    """JSON with the top-level ``model`` replaced by ``name`` (a JSON string); other bytes unchanged.

    A quoted ``"model"`` before a colon is always a key, because quotes inside strings are escaped. Only where there are
    several such keys has the object to be taken apart.
    """
    if data.count(b'"model"') == 1:
        return _MODEL.sub(lambda _: b'"model":' + name, data, count=1)
    if b'"model"' not in data:
        return data
    try:
        fields = _FIELDS.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return data
    if "model" not in fields:
        return data
    fields["model"] = msgspec.Raw(name)
    return msgspec.json.encode(fields)

"""Requests, responses and streams between a Chat client and a Chat upstream: unchanged but for a few fields.

They are the model's name, the switches for streaming and usage, and our carriers (docs/wire-formats.md, section 6.1).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation import call_ids, json_wire, reasoning_seal
from proxy.translation.canonical import Response, ToolCall
from proxy.translation.dialects.base import EncodeContext, EncodeTarget, error_object
from proxy.translation.dialects.openai_chat.request_decode import body_of
from proxy.translation.dialects.openai_chat.response_encode import generate_call_id
from proxy.translation.framing.sse import Frame
from proxy.translation.json_wire import Envelope
from proxy.translation.quirks import Quirks

_MODEL_MEMBER = re.compile(rb'"model"\s*:\s*"(?:[^"\\]|\\.)*"')
_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_OPTIONS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_CALLS = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_REASONING_FIELDS = ("reasoning_content", "reasoning", "reasoning_details")
_FINISHED = re.compile(rb'"finish_reason"\s*:\s*"(tool_calls|function_call|length|content_filter)"')
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
    messages = body_of(envelope).messages
    if any(message.reasoning_details for message in messages):
        fields["messages"] = _without_carriers(fields["messages"], target.quirks)
    if target.quirks.call_ids != "any" or target.quirks.reasoning_history == "omit":
        fields["messages"] = _fit_history(fields["messages"], target.quirks)
    return json_wire.encode(fields)


def _fit_history(messages: msgspec.Raw, quirks: Quirks) -> msgspec.Raw:
    """The messages without the reasoning and with the call ids that the upstream would refuse; all other bytes unchanged."""
    fitted = [_fit_message(raw, quirks) for raw in json_wire.decode(messages, _RAW_LIST, at="messages")]
    return msgspec.Raw(json_wire.encode(fitted))


def _fit_message(raw: msgspec.Raw, quirks: Quirks) -> Any:
    message = json_wire.decode(raw, _FIELDS, at="messages")
    fitted = dict(message)
    if quirks.reasoning_history == "omit":
        for name in _REASONING_FIELDS:
            fitted.pop(name, None)
    if quirks.call_ids == "nine_characters":
        if "tool_call_id" in message:
            fitted["tool_call_id"] = _nine_characters(message["tool_call_id"])
        calls = message.get("tool_calls")
        if calls is not None and bytes(calls)[:1] == b"[":
            wire_calls = json_wire.decode(calls, _CALLS, at="messages")
            if all("id" in call for call in wire_calls):
                fitted["tool_calls"] = msgspec.Raw(json_wire.encode([call | {"id": _nine_characters(call["id"])} for call in wire_calls]))
    return raw if fitted == message else fitted


def _nine_characters(raw: msgspec.Raw) -> msgspec.Raw:
    call_id = msgspec.json.decode(raw)
    return msgspec.Raw(json_wire.encode(call_ids.nine_characters(call_id))) if isinstance(call_id, str) else raw


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


def mend_response(body: bytes, response: Response, context: EncodeContext) -> bytes:
    """The response with ids for calls that have none, and with the ``finish_reason`` ``tool_calls`` if it has calls but ends with ``stop``.

    ``response``: the decoded body. Clients cannot answer a call without an id, and agents stop at ``stop``.
    """
    calls = [part for part in response.parts if isinstance(part, ToolCall)]
    if not calls or (all(call.id for call in calls) and _FINISHED.search(body)):
        return body
    value = error_object(body)
    choice = value["choices"][0] if isinstance(value, dict) and len(value.get("choices") or ()) == 1 else None
    wire_calls = choice["message"].get("tool_calls") if isinstance(choice, dict) else None
    if not choice or not isinstance(wire_calls, list) or len(wire_calls) != len(calls):
        return body
    for number, (wire_call, call) in enumerate(zip(wire_calls, calls, strict=True)):
        wire_call["id"] = call.id or generate_call_id(context, number)
    if response.finish.reason == "tool_calls":
        choice["finish_reason"] = "tool_calls"
    return json_wire.encode(value)


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

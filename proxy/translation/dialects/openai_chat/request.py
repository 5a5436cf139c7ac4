"""Chat Completions requests: opened, patched for an upstream of the same kind, decoded and encoded (sections 2 and 7)."""

from __future__ import annotations

from typing import Any

import msgspec

from proxy.translation import json_wire, reasoning_seal
from proxy.translation.canonical import Request
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.openai_chat import decode_settings, shapes
from proxy.translation.dialects.openai_chat.decode_messages import MessagesDecoder
from proxy.translation.dialects.openai_chat.encode_request import encode_request
from proxy.translation.dialects.openai_chat.shapes import FAMILY
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope
from proxy.translation.quirks import Quirks

__all__ = ["decode_request", "encode_request", "open_request", "patch_request"]

_BODY = msgspec.json.Decoder(shapes.Body)
_TOP_K = msgspec.json.Decoder(int | None)
_OPTIONS = msgspec.json.Decoder(dict[str, msgspec.Raw] | None)
_RAW_LIST = msgspec.json.Decoder(list[msgspec.Raw])
_RAW_FIELDS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_CARRIER = reasoning_seal.PREFIX.encode()
_TRUE = msgspec.Raw(b"true")


class ChatEnvelope(Envelope, frozen=True):
    """An envelope that keeps the typed body, so that ``decode_request`` need not read it again."""

    opened: shapes.Opened | None = None


def open_request(body: bytes) -> Envelope:
    """The envelope of a request; raises :class:`ClientMistake` with the path of a main field that is missing or mistyped."""
    fields = json_wire.open_object(body)
    typed = _checked(json_wire.decode(body, _BODY))
    return ChatEnvelope(fields, typed.model, bool(typed.stream), shapes.Opened(typed, dict(fields)))


def _checked(body: shapes.Body) -> shapes.Body:
    if not body.model:
        raise ClientMistake("model: the name of a model is expected", param="model")
    if not body.messages:
        raise ClientMistake("messages: at least one message is expected", param="messages")
    return body


# --- within the dialect ----------------------------------------------------------------------------------------------


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
    if any(message.reasoning_details for message in _typed(envelope).messages):
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
    message = json_wire.decode(raw, _RAW_FIELDS, at="messages")
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
    fields = json_wire.decode(entry, _RAW_FIELDS, at="messages")
    return any(bytes(fields.get(key, b"")).startswith(b'"' + _CARRIER) for key in ("signature", "data"))


# --- into the canonical form -----------------------------------------------------------------------------------------


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    """The canonical request; raises :class:`ClientMistake` with the path of what makes no sense."""
    fields = envelope.fields
    body = _typed(envelope)
    turns = MessagesDecoder(fields["messages"], seal_key)
    turns.decode(body.messages)
    top_k = fields.get("top_k")
    stop = body.stop
    return Request(
        model=envelope.model,
        messages=tuple(turns.messages),
        family=FAMILY,
        system=tuple(turns.system),
        tools=decode_settings.tools(body, fields),
        tool_choice=decode_settings.tool_choice(body),
        parallel_calls=body.parallel_tool_calls,
        max_tokens=decode_settings.limit(body),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=json_wire.decode(top_k, _TOP_K, at="top_k") if top_k else None,
        reasoning=decode_settings.reasoning(body),
        output=decode_settings.output(body),
        verbosity=body.verbosity,
        end_user=body.safety_identifier or body.user,
        metadata=decode_settings.metadata(fields),
        service_tier=body.service_tier,
        prompt_cache_key=body.prompt_cache_key,
        logprobs=bool(body.logprobs),
        top_logprobs=body.top_logprobs,
        stream=envelope.stream,
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        demands=decode_settings.demands(body, fields),
        extra=decode_settings.own_settings(fields),
    )


def _typed(envelope: Envelope) -> shapes.Body:
    """The typed body; read anew where the envelope's fields are no longer those that were opened."""
    if isinstance(envelope, ChatEnvelope) and envelope.opened is not None and envelope.opened.fields == envelope.fields:
        return envelope.opened.body
    return _checked(json_wire.decode(json_wire.encode(envelope.fields), _BODY))

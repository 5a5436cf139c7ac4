"""Decodes a request of a Chat client into the canonical form (docs/wire-formats.md, sections 2 and 7)."""

from __future__ import annotations

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Request
from proxy.translation.dialects.openai_chat import request_decode_settings as settings
from proxy.translation.dialects.openai_chat import wire_request as wire
from proxy.translation.dialects.openai_chat.request_decode_blocks import is_foreign
from proxy.translation.dialects.openai_chat.request_decode_messages import MessagesDecoder
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.errors import ClientMistake
from proxy.translation.json_object import open_body
from proxy.translation.json_wire import Envelope
from proxy.translation.unread import NotingDecoder

_BODY: NotingDecoder[wire.ChatBody] = NotingDecoder(wire.ChatBody)
_ANY_BODY = msgspec.json.Decoder(wire.ChatBody)
_TOP_K = msgspec.json.Decoder(int | None)


class ChatEnvelope(Envelope, frozen=True):
    """An envelope with the decoded body, so that ``decode_request`` need not decode it again."""

    opened: wire.OpenedBody | None = None


def open_request(body: bytes) -> Envelope:
    """The envelope of a request.

    Raises :class:`ClientMistake` with the path of a field of ``wire_request.ChatBody`` that is missing or has the wrong type.
    """
    opened = open_body(body)
    decoded = _decode_body(opened.body, opened.fields)
    return ChatEnvelope(opened.fields, decoded.body.model, bool(decoded.body.stream), is_foreign(decoded.body), decoded)


def _decode_body(body: bytes, fields: dict[str, msgspec.Raw]) -> wire.OpenedBody:
    strictly = _BODY.decode_strictly(body)
    decoded = json_wire.decode(body, _ANY_BODY) if strictly is None else strictly
    return wire.OpenedBody(_require_model_and_messages(decoded), dict(fields), strictly is not None)


def _require_model_and_messages(body: wire.ChatBody) -> wire.ChatBody:
    if not body.model:
        raise ClientMistake("model: the field is required", param="model")
    if not body.messages:
        raise ClientMistake("messages: at least one message is required", param="messages")
    return body


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    """The canonical request; raises :class:`ClientMistake` with the path of a field whose value is invalid."""
    fields = envelope.fields
    opened = _opened(envelope)
    body = opened.body
    decoder = MessagesDecoder(fields["messages"], seal_key)
    decoder.decode(body.messages)
    if not opened.is_read:
        _BODY.note(json_wire.encode(fields), decoder.unread, at="")
    top_k = fields.get("top_k")
    stop = body.stop
    return Request(
        model=envelope.model,
        messages=tuple(decoder.messages),
        family=FAMILY,
        system=tuple(decoder.system),
        tools=settings.decode_tools(body, fields),
        tool_choice=settings.decode_tool_choice(body),
        parallel_calls=settings.decode_parallel_calls(body),
        max_tokens=settings.decode_max_tokens(body),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=json_wire.decode(top_k, _TOP_K, at="top_k") if top_k else None,
        reasoning=settings.decode_reasoning(body),
        output=settings.decode_output(body),
        verbosity=body.verbosity,
        end_user=body.safety_identifier or body.user,
        metadata=settings.decode_metadata(fields),
        service_tier=body.service_tier,
        prompt_cache_key=body.prompt_cache_key,
        logprobs=bool(body.logprobs),
        top_logprobs=body.top_logprobs,
        stream=envelope.stream,
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        demands=settings.decode_demands(body, fields),
        extra=settings.unmapped_settings(fields),
        unread=tuple(sorted(decoder.unread)),
    )


def body_of(envelope: Envelope) -> wire.ChatBody:
    """The body of an envelope; decoded again if a field was changed after ``open_request``."""
    return _opened(envelope).body


def _opened(envelope: Envelope) -> wire.OpenedBody:
    if isinstance(envelope, ChatEnvelope) and envelope.opened is not None and envelope.opened.fields == envelope.fields:
        return envelope.opened
    return _decode_body(json_wire.encode(envelope.fields), envelope.fields)

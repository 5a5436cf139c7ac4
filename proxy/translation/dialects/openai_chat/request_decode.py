"""Chat Completions requests: opened, patched for an upstream of the same kind, decoded and encoded (sections 2 and 7)."""

from __future__ import annotations

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Request
from proxy.translation.dialects.openai_chat import request_decode_settings, wire_request
from proxy.translation.dialects.openai_chat.request_decode_messages import MessagesDecoder
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.errors import ClientMistake
from proxy.translation.json_wire import Envelope

_BODY = msgspec.json.Decoder(wire_request.Body)
_TOP_K = msgspec.json.Decoder(int | None)


class ChatEnvelope(Envelope, frozen=True):
    """An envelope that keeps the typed body, so that ``decode_request`` need not read it again."""

    opened: wire_request.Opened | None = None


def open_request(body: bytes) -> Envelope:
    """The envelope of a request; raises :class:`ClientMistake` with the path of a main field that is missing or mistyped."""
    fields = json_wire.open_object(body)
    typed = _check(json_wire.decode(body, _BODY))
    return ChatEnvelope(fields, typed.model, bool(typed.stream), wire_request.Opened(typed, dict(fields)))


def _check(body: wire_request.Body) -> wire_request.Body:
    if not body.model:
        raise ClientMistake("model: the name of a model is expected", param="model")
    if not body.messages:
        raise ClientMistake("messages: at least one message is expected", param="messages")
    return body


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    """The canonical request; raises :class:`ClientMistake` with the path of what makes no sense."""
    fields = envelope.fields
    body = typed_body(envelope)
    turns = MessagesDecoder(fields["messages"], seal_key)
    turns.decode(body.messages)
    top_k = fields.get("top_k")
    stop = body.stop
    return Request(
        model=envelope.model,
        messages=tuple(turns.messages),
        family=FAMILY,
        system=tuple(turns.system),
        tools=request_decode_settings.tools(body, fields),
        tool_choice=request_decode_settings.tool_choice(body),
        parallel_calls=body.parallel_tool_calls,
        max_tokens=request_decode_settings.limit(body),
        stop=(stop,) if isinstance(stop, str) else tuple(stop or ()),
        temperature=body.temperature,
        top_p=body.top_p,
        top_k=json_wire.decode(top_k, _TOP_K, at="top_k") if top_k else None,
        reasoning=request_decode_settings.reasoning(body),
        output=request_decode_settings.output(body),
        verbosity=body.verbosity,
        end_user=body.safety_identifier or body.user,
        metadata=request_decode_settings.metadata(fields),
        service_tier=body.service_tier,
        prompt_cache_key=body.prompt_cache_key,
        logprobs=bool(body.logprobs),
        top_logprobs=body.top_logprobs,
        stream=envelope.stream,
        include_usage=bool(body.stream_options and body.stream_options.include_usage),
        demands=request_decode_settings.demands(body, fields),
        extra=request_decode_settings.own_settings(fields),
    )


def typed_body(envelope: Envelope) -> wire_request.Body:
    """The typed body; read anew where the envelope's fields are no longer those that were opened."""
    if isinstance(envelope, ChatEnvelope) and envelope.opened is not None and envelope.opened.fields == envelope.fields:
        return envelope.opened.body
    return _check(json_wire.decode(json_wire.encode(envelope.fields), _BODY))

"""Decodes a whole Converse response (docs/wire-formats.md, section 17.6)."""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Opaque, Part, Response, Text, ToolCall
from proxy.translation.dialects.base import error_object
from proxy.translation.dialects.bedrock_converse.request_decode_parts import decode_cited_text
from proxy.translation.dialects.bedrock_converse.seals import decode_reasoning
from proxy.translation.dialects.bedrock_converse.stop_reasons import decode_finish, failure_of_stop
from proxy.translation.dialects.bedrock_converse.usage import WireUsage, decode_usage
from proxy.translation.dialects.bedrock_converse.wire import BLOCK, FAMILY, is_present, kind_of
from proxy.translation.errors import ClientMistake, Failure, UpstreamFailed
from proxy.translation.quirks import Quirks


class _Message(msgspec.Struct):
    content: list[Raw] | None = None


class _Output(msgspec.Struct):
    message: _Message | None = None


class _WireResponse(msgspec.Struct):
    output: _Output | None = None
    stopReason: str | None = None  # noqa: N815
    usage: WireUsage | None = None
    serviceTier: Any = None  # noqa: N815


_RESPONSE = msgspec.json.Decoder(_WireResponse)


def decode_response(body: bytes, quirks: Quirks) -> Response:  # noqa: ARG001 -- every dialect's decoder takes the quirks
    """Raises :class:`UpstreamFailed` if the body of the 200 is no response, or if the model's output is not usable."""
    try:
        response = json_wire.decode(body, _RESPONSE)
        if response.output is None or response.output.message is None:
            raise UpstreamFailed(_unusable(body), answered=True)
        parts = [part for block in response.output.message.content or () if (part := _decode_block(block)) is not None]
    except ClientMistake as mistake:
        message = f"The upstream response cannot be decoded: {mistake.failure.message}"
        raise UpstreamFailed(Failure(kind="bad_gateway", message=message), answered=True) from None
    failure = failure_of_stop(response.stopReason)
    if failure is not None:
        raise UpstreamFailed(failure, answered=True)
    has_calls = any(isinstance(part, ToolCall) for part in parts)
    return Response(
        id="",
        model="",
        parts=tuple(_with_unique_ids(parts)),
        finish=decode_finish(response.stopReason, has_calls=has_calls),
        usage=None if response.usage is None else decode_usage(response.usage, response.serviceTier),
    )


def _unusable(body: bytes) -> Failure:
    value = error_object(body)
    message = value.get("message") if isinstance(value, dict) else None
    return Failure(kind="bad_gateway", message=message if isinstance(message, str) and message else "The upstream response has no message.")


def _decode_block(raw: Raw) -> Part | None:
    block = json_wire.decode(raw, BLOCK, at="output.message.content")
    if block.text is not None:
        return Text(block.text) if block.text else None
    if block.toolUse is not None and block.toolUse.type is None:
        arguments = json_wire.compact(block.toolUse.input) if is_present(block.toolUse.input) else "{}"
        return ToolCall(block.toolUse.toolUseId, block.toolUse.name, arguments)
    if block.reasoningContent is not None:
        return decode_reasoning(block.reasoningContent, "")
    if block.citationsContent is not None:
        return decode_cited_text(block.citationsContent)
    kind = kind_of(raw, at="output.message.content")
    return Opaque(FAMILY, kind, raw, history=True) if kind else None


def _with_unique_ids(parts: list[Part]) -> list[Part]:
    """Calls with the id of an earlier one get an empty id."""
    seen: set[str] = set()
    unique: list[Part] = []
    for part in parts:
        if isinstance(part, ToolCall):
            is_new = part.id not in seen
            seen.add(part.id)
            unique.append(part if is_new else msgspec.structs.replace(part, id=""))
        else:
            unique.append(part)
    return unique

"""The InvokeModel request: a Messages body without ``model`` and ``stream``, which the path tells (wire formats, section 4).

Betas stand in the body's list ``anthropic_beta``. Bedrock refuses the ones it does not know, so those of a client of another
dialect go up only where ``Quirks.beta_allow_list`` names them, and with them the fields that need them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import Message, Opaque, Part, Request, Text, Tool, ToolResult
from proxy.translation.dialects.anthropic import request as messages_wire
from proxy.translation.dialects.anthropic.blocks import NOTHING, present
from proxy.translation.dialects.anthropic.envelope import check_fields
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.json_wire import Envelope
from proxy.translation.quirks import Quirks

VERSION = "bedrock-2023-05-31"
BETAS = "anthropic_beta"
"""Name of the list of betas, in the body and in ``Request.extra``."""

_BETA_OF_FIELD: Mapping[str, str] = {"context_management": "context-management-", "compaction": "compact"}
"""Fields that Bedrock takes only with a beta, by the beginning of its name."""
_TAKEN = frozenset({"cache_control"})
"""Fields of the family's own that need none; the others are for Anthropic's own endpoint."""

_STRINGS = msgspec.json.Decoder(list[str])

replace = msgspec.structs.replace


def path(destination: EncodeTarget) -> str:
    """The model's id or ARN stands in the path, percent-encoded but for its colons."""
    verb = "invoke-with-response-stream" if destination.stream else "invoke"
    return destination.quirks.api_path or f"/model/{quote(destination.model, safe=':')}/{verb}"


def open_request(body: bytes) -> Envelope:
    """An envelope without a model: see :func:`opener`. Raises :class:`~proxy.translation.errors.ClientMistake` with the offending path."""
    fields = json_wire.open_object(body)
    check_fields(fields)
    return Envelope(fields, "")


def opener(model: str, *, stream: bool) -> Callable[[bytes], Envelope]:
    """How bodies are opened that were posted to the path of ``model``."""

    def opened(body: bytes) -> Envelope:
        return replace(open_request(body), model=model, stream=stream)

    return opened


def decode_request(envelope: Envelope, seal_key: bytes) -> Request:
    """Raises :class:`~proxy.translation.errors.ClientMistake`."""
    request = messages_wire.decode_request(envelope, seal_key)
    betas = envelope.fields.get(BETAS, NOTHING)
    if not present(betas):
        return request
    json_wire.decode(betas, _STRINGS, at=BETAS)
    return replace(request, extra=request.extra | {BETAS: betas})


def encode_request(request: Request, destination: EncodeTarget) -> bytes:
    """Raises :class:`~proxy.translation.errors.ClientMistake` for content that this wire cannot carry."""
    betas = _allowed(_STRINGS.decode(request.extra.get(BETAS, b"[]")), destination.quirks)
    request = replace(request, service_tier=None, extra={name: raw for name, raw in request.extra.items() if _takes(name, betas)})
    body: dict[str, Any] = {"anthropic_version": VERSION}
    if betas:
        body[BETAS] = betas
    else:
        request = _without_beta_tools(request)
    return json_wire.encode(
        body | messages_wire.encode_body(request, destination, late_system_native=destination.quirks.late_system_native)
    )


def _allowed(betas: list[str], quirks: Quirks) -> list[str]:
    allowed = quirks.beta_allow_list or ()
    return [beta for beta in betas if beta in allowed]


def _takes(field: str, betas: list[str]) -> bool:
    needed = _BETA_OF_FIELD.get(field)
    return field in _TAKEN if needed is None else any(beta.startswith(needed) for beta in betas)


def _without_beta_tools(request: Request) -> Request:
    """Tools and results in the words of the plain API: no deferred loading, and references to tools as their names."""
    tools = tuple(replace(tool, native={}) if isinstance(tool, Tool) and tool.native else tool for tool in request.tools)
    return replace(request, tools=tools, messages=tuple(_plain_message(message) for message in request.messages))


def _plain_message(message: Message) -> Message:
    if not any(isinstance(part, ToolResult) for part in message.parts):
        return message
    return replace(message, parts=tuple(_plain_result(part) if isinstance(part, ToolResult) else part for part in message.parts))


def _plain_result(result: ToolResult) -> ToolResult:
    if not any(_is_reference(part) for part in result.content):
        return result
    plain = tuple(Text(part.text) if isinstance(part, Opaque) and _is_reference(part) else part for part in result.content)
    return replace(result, content=plain)


def _is_reference(part: Part) -> bool:
    return isinstance(part, Opaque) and part.type == "tool_reference"


def patch_request(envelope: Envelope, destination: EncodeTarget, seal_key: bytes) -> bytes:
    """The client's body for a Bedrock upstream: our carriers gone, betas narrowed where a list of allowed ones is given."""
    fields = messages_wire.patch_fields(envelope.fields, seal_key)
    if destination.quirks.beta_allow_list is not None and present(fields.get(BETAS, NOTHING)):
        betas = _allowed(json_wire.decode(fields[BETAS], _STRINGS, at=BETAS), destination.quirks)
        del fields[BETAS]
        if betas:
            fields[BETAS] = Raw(json_wire.encode(betas))
    return json_wire.encode(fields)

"""Canonical requests to InvokeModel requests: a Messages body without ``model`` and ``stream`` (docs/wire-formats.md, section 4).

Bedrock refuses betas that it does not know. The betas of a request are therefore sent only where ``Quirks.beta_allow_list``
names them, and the fields and tool settings that need a beta are sent only with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Message, Opaque, Part, Request, Text, Tool, ToolResult
from proxy.translation.dialects.anthropic import request_encode as messages
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.bedrock.betas import BETAS, allowed_betas, decode_betas

VERSION = "bedrock-2023-05-31"
"""The only value of ``anthropic_version`` that Bedrock accepts."""

_BETA_PREFIXES: Mapping[str, str] = {"context_management": "context-management-", "compaction": "compact"}
"""Fields that Bedrock accepts only with a beta, and the prefix of that beta's name."""

_FIELDS_WITHOUT_BETA = frozenset({"cache_control"})
"""The fields of ``Request.extra`` that need no beta. Bedrock has no other ones: the rest belongs to Anthropic's own endpoint."""

replace = msgspec.structs.replace


def path(target: EncodeTarget) -> str:
    """The upstream's path, with the model's id or ARN percent-encoded except for its colons."""
    verb = "invoke-with-response-stream" if target.stream else "invoke"
    return target.quirks.api_path or f"/model/{quote(target.model, safe=':')}/{verb}"


def encode_request(request: Request, target: EncodeTarget) -> bytes:
    """Raises :class:`~proxy.translation.errors.ClientMistake` for content that Bedrock cannot express."""
    betas = allowed_betas(decode_betas(request.extra.get(BETAS, b"[]")), target.quirks)
    extra = {name: raw for name, raw in request.extra.items() if _accepts_field(name, betas)}
    request = replace(request, service_tier=None, extra=extra)
    body: dict[str, Any] = {"anthropic_version": VERSION}
    if betas:
        body[BETAS] = betas
    else:
        request = _without_beta_tools(request)
    return json_wire.encode(body | messages.encode_body(request, target, late_system_native=target.quirks.late_system_native))


def _accepts_field(field: str, betas: list[str]) -> bool:
    prefix = _BETA_PREFIXES.get(field)
    return field in _FIELDS_WITHOUT_BETA if prefix is None else any(beta.startswith(prefix) for beta in betas)


def _without_beta_tools(request: Request) -> Request:
    """``request`` without deferred tools: native tool settings are removed, tool references become text."""
    tools = tuple(replace(tool, native={}) if isinstance(tool, Tool) and tool.native else tool for tool in request.tools)
    return replace(request, tools=tools, messages=tuple(_without_references(message) for message in request.messages))


def _without_references(message: Message) -> Message:
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

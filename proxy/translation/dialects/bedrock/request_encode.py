"""Canonical requests to InvokeModel requests: a Messages body without ``model`` and ``stream`` (docs/wire-formats.md, section 4).

Bedrock refuses betas that it does not know. The betas of a request are therefore sent only where ``Quirks.beta_allow_list``
or the AWS documentation names them, and the fields and tool settings that need a beta are sent only with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Raw

from proxy.translation import json_wire
from proxy.translation.canonical import HostedTool, Message, Opaque, Part, Request, Text, Tool, ToolResult
from proxy.translation.dialects.anthropic import request_encode as messages
from proxy.translation.dialects.anthropic.wire import OBJECT
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.bedrock.betas import BETAS, allowed_betas, decode_betas
from proxy.translation.errors import ClientMistake

VERSION = "bedrock-2023-05-31"
"""The only value of ``anthropic_version`` that Bedrock accepts."""

_FIELD_BETAS: Mapping[str, tuple[str, ...]] = {
    "compaction": ("compact",),
    "context_management": ("context-management-",),
    "output_config.task_budget": ("task-budgets-",),
    "thinking.block_binding": ("thinking-block-binding-",),
}
"""Fields of ``Request.extra`` that Bedrock accepts with a beta, and the prefixes of that beta's name. The other fields belong to
Anthropic's own endpoint; the top-level ``cache_control`` moves to the last block."""

_TOOL_BETAS: Mapping[str, tuple[str, ...]] = {
    "allowed_callers": ("advanced-tool-use-",),
    "defer_loading": ("tool-search-tool-", "advanced-tool-use-"),
    "eager_input_streaming": ("fine-grained-tool-streaming-",),
    "input_examples": ("tool-examples-", "advanced-tool-use-"),
}
"""Settings of a tool, and the prefixes of the names of the betas that they need."""

_TOOL_SEARCH = "tool_search_"
"""Beginning of the types and names of the API's tool search and of its results."""
_WITHOUT_CACHE_MARK = frozenset({"thinking", "redacted_thinking"})
_CACHE_FIELDS = {"scope": ("prompt-caching-scope-",)}
"""Fields of ``cache_control`` that need a beta."""

replace = msgspec.structs.replace


def path(target: EncodeTarget) -> str:
    """The upstream's path, with the model's id or ARN percent-encoded except for its colons."""
    verb = "invoke-with-response-stream" if target.stream else "invoke"
    return target.quirks.api_path or f"/model/{quote(target.model, safe=':')}/{verb}"


def encode_fields(request: Request, target: EncodeTarget) -> dict[str, Any]:
    """Raises :class:`~proxy.translation.errors.ClientMistake` for content that Bedrock cannot express."""
    betas = _sent_betas(request, target)
    extra = {name: raw for name, raw in request.extra.items() if _accepts_field(name, betas)}
    if "compaction" in request.extra and "compaction" not in extra:
        raise ClientMistake("compaction: needs a beta that is not allowed for this model's upstream", param="compaction")
    request = _without_beta_tools(replace(request, service_tier=None, extra=extra), betas)
    body: dict[str, Any] = {"anthropic_version": VERSION, **({BETAS: betas} if betas else {})}
    body |= messages.encode_body(request, target, late_system_native=target.quirks.late_system_native, mark=partial(_cache_mark, betas))
    if "cache_control" in body:
        _move_cache_mark(body, _cache_mark(betas, Raw(body.pop("cache_control"))))
    return body


def _move_cache_mark(body: dict[str, Any], mark: Raw) -> None:
    """Set the automatic breakpoint, which Bedrock refuses at the top level, where it works: at the last block that accepts one."""
    turn = body["messages"][-1]
    if isinstance(turn["content"], str):
        turn["content"] = [{"type": "text", "text": turn["content"]}]
    block = turn["content"][-1]
    if block["type"] not in _WITHOUT_CACHE_MARK:
        block.setdefault("cache_control", mark)


def _has_beta(betas: list[str], prefixes: tuple[str, ...]) -> bool:
    return any(beta.startswith(prefixes) for beta in betas)


def _accepts_field(field: str, betas: list[str]) -> bool:
    return field == "cache_control" or (field in _FIELD_BETAS and _has_beta(betas, _FIELD_BETAS[field]))


def _cache_mark(betas: list[str], mark: Raw) -> Raw:
    """A client's ``cache_control`` without the fields whose beta is not sent."""
    refused = _refused_cache_fields(betas)
    if not any(name.encode() in bytes(mark) for name in refused):
        return mark
    return Raw(json_wire.encode({name: value for name, value in OBJECT.decode(mark).items() if name not in refused}))


def _without_beta_tools(request: Request, betas: list[str]) -> Request:
    """``request`` without the tool settings whose beta is not sent.

    Without deferred tools the search for them stays out, also in the history, and references to them become text.
    """
    tools = tuple(_with_allowed_settings(tool, betas) if isinstance(tool, Tool) and tool.native else tool for tool in request.tools)
    if _has_beta(betas, _TOOL_BETAS["defer_loading"]):
        return replace(request, tools=tools)
    tools = tuple(tool for tool in tools if not (isinstance(tool, HostedTool) and tool.type.startswith(_TOOL_SEARCH)))
    return replace(request, tools=tools, messages=tuple(_without_tool_search(message) for message in request.messages))


def _with_allowed_settings(tool: Tool, betas: list[str]) -> Tool:
    return replace(tool, native={name: raw for name, raw in tool.native.items() if _has_beta(betas, _TOOL_BETAS.get(name, ()))})


def _without_tool_search(message: Message) -> Message:
    if not any(isinstance(part, ToolResult | Opaque) for part in message.parts):
        return message
    parts = tuple(part for part in message.parts if not (isinstance(part, Opaque) and _is_tool_search(part)))
    return replace(message, parts=tuple(_plain_result(part) if isinstance(part, ToolResult) else part for part in parts))


def has_tool_search(request: Request, target: EncodeTarget) -> bool:
    """Whether the betas of the tool search are sent."""
    return _has_beta(_sent_betas(request, target), _TOOL_BETAS["defer_loading"])


def refused_cache_fields(request: Request, target: EncodeTarget) -> list[str]:
    """The fields of ``cache_control`` whose betas are not sent."""
    return _refused_cache_fields(_sent_betas(request, target))


def _refused_cache_fields(betas: list[str]) -> list[str]:
    return [name for name, prefixes in _CACHE_FIELDS.items() if not _has_beta(betas, prefixes)]


def _sent_betas(request: Request, target: EncodeTarget) -> list[str]:
    return allowed_betas(decode_betas(request.extra.get(BETAS, b"[]")), target.quirks)


def is_of_tool_search(part: Opaque) -> bool:
    """Whether a block is a call of the API's tool search, its result, or a reference in a tool result."""
    return _is_reference(part) or _is_tool_search(part)


def _is_tool_search(part: Opaque) -> bool:
    """Whether a block is a call of the API's tool search, or its result."""
    if part.type == "server_tool_use":
        return str(json_wire.decode_value(part.native, at=part.at).get("name")).startswith(_TOOL_SEARCH)
    return part.type.startswith(_TOOL_SEARCH)


def _plain_result(result: ToolResult) -> ToolResult:
    if not any(_is_reference(part) for part in result.content):
        return result
    plain = tuple(Text(part.text) if isinstance(part, Opaque) and _is_reference(part) else part for part in result.content)
    return replace(result, content=plain)


def _is_reference(part: Part) -> bool:
    return isinstance(part, Opaque) and part.type == "tool_reference"

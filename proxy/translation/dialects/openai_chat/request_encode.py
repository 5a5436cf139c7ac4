"""Encodes a request for a Chat upstream; ``request_encode_messages`` encodes the messages (docs/wire-formats.md, sections 7.5 to 7.12)."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import CacheMark, HostedTool, ReasoningSetting, Request, Tool, ToolChoice
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.openai_chat.request_decode_settings import EFFORTS, MAPPED_FIELDS
from proxy.translation.dialects.openai_chat.request_encode_messages import encode_messages
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.dialects.openai_strict_schema import is_strict
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks
from proxy.translation.thinking_budgets import effort_of

MAX_STOPS = 4
_USER_LIMITS = {"user": 64, "safety_identifier": 128}
_FALLBACK_EFFORTS = {"minimal": "low", "xhigh": "high", "max": "high"}
_SERVICE_TIERS_OF_ANTHROPIC = {"standard_only": "default", "default": "default"}
_SAMPLING_FIELDS = frozenset({"frequency_penalty", "presence_penalty", "logit_bias", "seed", "min_p", "repetition_penalty"})
_NOT_IN_A_NAME = re.compile(r"[^a-zA-Z0-9_-]")


SHARED_WITH_RESPONSES = ("moderation", "prompt_cache_options", "prompt_cache_retention")
"""Settings without a canonical place that Responses has in the same form."""


def encode_fields(request: Request, target: EncodeTarget) -> dict[str, Any]:
    """The body for a Chat upstream; raises :class:`ClientMistake` for content that Chat has no form for."""
    quirks = target.quirks
    fields: dict[str, Any] = {"model": target.model, "messages": encode_messages(request, quirks, owner=target.upstream)}
    _add_limits(fields, request, target)
    _add_tools(fields, request, quirks)
    _add_output(fields, request)
    _add_identity(fields, request, quirks)
    effort = _encode_effort(request.reasoning, quirks)
    if effort is not None:
        fields["reasoning_effort"] = effort
    if target.stream:
        fields["stream"] = True
        if quirks.stream_usage:
            fields["stream_options"] = {"include_usage": True}
    if request.family != "anthropic":
        _add_openai_settings(fields, request, quirks)
    return fields


def _add_limits(fields: dict[str, Any], request: Request, target: EncodeTarget) -> None:
    quirks = target.quirks
    if request.max_tokens is not None:
        ceiling = target.max_output_tokens
        fields[quirks.max_tokens_field] = request.max_tokens if ceiling is None else min(request.max_tokens, ceiling)
    if request.stop and not quirks.no_stop:
        if len(request.stop) > MAX_STOPS and quirks.too_many_stops == "refuse":
            raise ClientMistake(f"stop: this model's upstream takes at most {MAX_STOPS} stop sequences", param="stop")
        fields["stop"] = request.stop[:MAX_STOPS]
    if request.temperature is not None:
        fields["temperature"] = _as_number(request.temperature)
    if request.top_p is not None:
        fields["top_p"] = _as_number(request.top_p)
    if request.top_k is not None and (quirks.top_k or request.family == FAMILY):
        fields["top_k"] = request.top_k
    if request.logprobs:
        fields["logprobs"] = True
    if request.top_logprobs is not None:
        fields["top_logprobs"] = request.top_logprobs


def _as_number(value: float) -> int | float:
    """The number as an integer if it is one: ``1``, not ``1.0``."""
    return int(value) if value.is_integer() else value


# --- tools -----------------------------------------------------------------------------------------------------------


def _add_tools(fields: dict[str, Any], request: Request, quirks: Quirks) -> None:
    anthropic = request.family == "anthropic"
    tools = [_encode_tool(tool, quirks, checks_strict=anthropic) for tool in request.tools if isinstance(tool, Tool)]
    for hosted in request.tools:
        if isinstance(hosted, HostedTool) and hosted.family == FAMILY:
            if hosted.type == "web_search_options":
                fields["web_search_options"] = hosted.native
            else:
                tools.append(hosted.native)
    if not tools:
        return
    fields["tools"] = tools
    if request.tool_choice is not None:
        fields["tool_choice"] = _encode_choice(request.tool_choice, request)
    # Anthropic's ``disable_parallel_tool_use: false`` is the default and need not be sent.
    if request.parallel_calls is False or (request.parallel_calls and request.family != "anthropic"):
        fields["parallel_tool_calls"] = request.parallel_calls


def _encode_tool(tool: Tool, quirks: Quirks, *, checks_strict: bool) -> Any:
    """``checks_strict``: the client's strict tools have schemas of another subset than OpenAI's."""
    definition: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        definition["description"] = tool.description
    if tool.kind == "custom":
        if tool.format is not None:
            definition["format"] = _nest_grammar(tool.format)
        wire_tool: dict[str, Any] = {"type": "custom", "custom": definition}
    else:
        if tool.schema is not None:
            definition["parameters"] = tool.schema
        if tool.strict is not None:
            definition["strict"] = tool.strict and (not checks_strict or is_strict(tool.schema))
        wire_tool = {"type": "function", "function": definition}
    if quirks.cache_markers == "passthrough" and isinstance(tool.cache, CacheMark):
        wire_tool["cache_control"] = tool.cache.native
    return wire_tool


def _nest_grammar(tool_format: msgspec.Raw) -> Any:
    """The format of a free-form tool: Chat has ``syntax`` and ``definition`` inside ``grammar``, Responses has them beside ``type``."""
    decoded = json_wire.decode_value(tool_format, at="tools")
    if not isinstance(decoded, dict) or decoded.get("type") != "grammar" or "grammar" in decoded:
        return tool_format
    return {"type": "grammar", "grammar": {name: value for name, value in decoded.items() if name != "type"}}


def _encode_choice(choice: ToolChoice, request: Request) -> Any:
    if choice.mode == "tool":
        return _named_tool(choice.kind, choice.name)
    if choice.subset is None:
        return choice.mode
    kinds = {tool.name: tool.kind for tool in request.tools if isinstance(tool, Tool)}
    tools = [_named_tool(kinds.get(name, "function"), name) for name in choice.subset]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}


def _named_tool(kind: str, name: str) -> dict[str, Any]:
    type_ = "custom" if kind == "custom" else "function"
    return {"type": type_, type_: {"name": name}}


# --- output, reasoning, identity -------------------------------------------------------------------------------------


def _add_output(fields: dict[str, Any], request: Request) -> None:
    output = request.output
    if output is None:
        return
    if output.kind == "json_object":
        fields["response_format"] = {"type": "json_object"}
        return
    json_schema: dict[str, Any] = {"name": _NOT_IN_A_NAME.sub("_", output.name)[:64] or "response"}
    if output.description is not None:
        json_schema["description"] = output.description
    if output.schema is not None:
        json_schema["schema"] = output.schema
    # Anthropic's clients set no ``strict``: their formats are always binding, but in another subset of JSON Schema.
    strict = is_strict(output.schema) if output.strict is None and request.family == "anthropic" else output.strict
    if strict is not None:
        json_schema["strict"] = strict
    fields["response_format"] = {"type": "json_schema", "json_schema": json_schema}


def _encode_effort(setting: ReasoningSetting | None, quirks: Quirks) -> str | None:
    """The value of ``reasoning_effort``; ``None``: the field is left out (docs/wire-formats.md, section 7.9)."""
    if setting is None or not quirks.reasoning_effort:
        return None
    if setting.mode == "disabled" or setting.effort == "none":
        return "none" if quirks.reasoning_off or "none" in quirks.efforts else None
    effort: str | None = setting.effort
    if setting.mode == "budget" and effort is None:
        effort = effort_of(setting.budget or 0)
    return None if effort is None else _supported_effort(effort, quirks.efforts)


def _supported_effort(effort: str, supported: tuple[str, ...]) -> str | None:
    if effort in supported or not supported:
        return effort if supported else None
    effort = _FALLBACK_EFFORTS.get(effort, effort)
    if effort in supported:
        return effort
    rank = EFFORTS.index(effort)
    candidates = [candidate for candidate in supported if candidate in EFFORTS and candidate != "none"]
    return min(candidates, key=lambda candidate: abs(EFFORTS.index(candidate) - rank), default=None)


def _add_identity(fields: dict[str, Any], request: Request, quirks: Quirks) -> None:
    name = quirks.user_field
    if request.end_user and name != "none":
        user = request.end_user
        fields[name] = user if len(user) <= _USER_LIMITS[name] else hashlib.sha256(user.encode(errors="replace")).hexdigest()
    if request.family == "anthropic":
        tier = _SERVICE_TIERS_OF_ANTHROPIC.get(request.service_tier or "")
    else:
        tier = request.service_tier
        if request.metadata:
            fields["metadata"] = request.metadata
        if request.prompt_cache_key is not None:
            fields["prompt_cache_key"] = request.prompt_cache_key
    if tier is not None:
        fields["service_tier"] = tier


def _add_openai_settings(fields: dict[str, Any], request: Request, quirks: Quirks) -> None:
    """Add the settings of a Chat client that have no canonical place, or those of a Responses client that Chat has, too."""
    if request.verbosity is not None:
        fields["verbosity"] = request.verbosity
    if request.family != FAMILY:
        fields.update({name: request.extra[name] for name in SHARED_WITH_RESPONSES if name in request.extra})
        return
    excluded = MAPPED_FIELDS | _SAMPLING_FIELDS if quirks.no_sampling else MAPPED_FIELDS
    fields.update({name: raw for name, raw in request.extra.items() if name not in excluded})

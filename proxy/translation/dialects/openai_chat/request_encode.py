"""The request for a chat upstream: settings here, messages in ``encode_messages`` (sections 7.5 to 7.12)."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import msgspec

from proxy.translation.canonical import CacheMark, HostedTool, ReasoningSetting, Request, Tool, ToolChoice
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.openai_chat.request_decode_settings import EFFORTS, MAPPED
from proxy.translation.dialects.openai_chat.request_encode_messages import encode_messages
from proxy.translation.dialects.openai_chat.wire_request import FAMILY
from proxy.translation.errors import ClientMistake
from proxy.translation.quirks import Quirks

MAX_STOPS = 4
_USER_LIMITS = {"user": 64, "safety_identifier": 128}
_BUDGET_EFFORTS = ((4096, "low"), (12288, "medium"), (32768, "high"))
_FALLBACK_EFFORTS = {"minimal": "low", "xhigh": "high", "max": "high"}
_SERVICE_TIERS_OF_ANTHROPIC = {"standard_only": "default", "default": "default"}
_SAMPLING = frozenset({"frequency_penalty", "presence_penalty", "logit_bias", "seed", "min_p", "repetition_penalty"})
_NAME = re.compile(r"[^a-zA-Z0-9_-]")


def encode_request(request: Request, destination: EncodeTarget) -> bytes:
    """The body for a chat upstream; raises :class:`ClientMistake` for content that chat cannot carry."""
    quirks = destination.quirks
    fields: dict[str, Any] = {"model": destination.model, "messages": encode_messages(request, quirks)}
    _limits(fields, request, destination)
    _tools(fields, request, quirks)
    _output(fields, request)
    _identity(fields, request, quirks)
    effort = _effort(request.reasoning, quirks)
    if effort is not None:
        fields["reasoning_effort"] = effort
    if destination.stream:
        fields["stream"] = True
        if quirks.stream_usage:
            fields["stream_options"] = {"include_usage": True}
    if request.family == FAMILY:
        _own(fields, request, quirks)
    return msgspec.json.encode(fields)


def _limits(fields: dict[str, Any], request: Request, destination: EncodeTarget) -> None:
    quirks = destination.quirks
    if request.max_tokens is not None:
        ceiling = destination.max_output_tokens
        fields[quirks.max_tokens_field] = request.max_tokens if ceiling is None else min(request.max_tokens, ceiling)
    if request.stop and not quirks.no_stop:
        if len(request.stop) > MAX_STOPS and quirks.too_many_stops == "refuse":
            raise ClientMistake(f"stop: this model's upstream takes at most {MAX_STOPS} stop sequences", param="stop")
        fields["stop"] = request.stop[:MAX_STOPS]
    if request.temperature is not None:
        fields["temperature"] = _plain_number(request.temperature)
    if request.top_p is not None:
        fields["top_p"] = _plain_number(request.top_p)
    if request.top_k is not None and (quirks.top_k or request.family == FAMILY):
        fields["top_k"] = request.top_k
    if request.logprobs:
        fields["logprobs"] = True
    if request.top_logprobs is not None:
        fields["top_logprobs"] = request.top_logprobs


def _plain_number(value: float) -> int | float:
    """1 rather than 1.0, as clients write it."""
    return int(value) if value.is_integer() else value


# --- tools -----------------------------------------------------------------------------------------------------------


def _tools(fields: dict[str, Any], request: Request, quirks: Quirks) -> None:
    tools = [_tool(tool, quirks) for tool in request.tools if isinstance(tool, Tool)]
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
        fields["tool_choice"] = _choice(request.tool_choice, request)
    # Anthropic clients say "at most one"; their opposite is no more than the default.
    if request.parallel_calls is False or (request.parallel_calls and request.family != "anthropic"):
        fields["parallel_tool_calls"] = request.parallel_calls


def _tool(tool: Tool, quirks: Quirks) -> Any:
    shape: dict[str, Any] = {"name": tool.name}
    if tool.description is not None:
        shape["description"] = tool.description
    if tool.kind == "custom":
        if tool.format is not None:
            shape["format"] = _nested_format(tool.format)
        whole: dict[str, Any] = {"type": "custom", "custom": shape}
    else:
        if tool.schema is not None:
            shape["parameters"] = tool.schema
        if tool.strict is not None:
            shape["strict"] = tool.strict
        whole = {"type": "function", "function": shape}
    if quirks.cache_markers == "passthrough" and isinstance(tool.cache, CacheMark):
        whole["cache_control"] = tool.cache.native
    return whole


def _nested_format(given: msgspec.Raw) -> Any:
    """The format of a free-form tool: chat keeps a grammar under ``grammar``, where Responses has its fields beside the type."""
    form = msgspec.json.decode(given)
    if not isinstance(form, dict) or form.get("type") != "grammar" or "grammar" in form:
        return given
    return {"type": "grammar", "grammar": {name: value for name, value in form.items() if name != "type"}}


def _choice(choice: ToolChoice, request: Request) -> Any:
    if choice.mode == "tool":
        return _named(choice.kind, choice.name)
    if choice.subset is None:
        return choice.mode
    kinds = {tool.name: tool.kind for tool in request.tools if isinstance(tool, Tool)}
    tools = [_named(kinds.get(name, "function"), name) for name in choice.subset]
    return {"type": "allowed_tools", "allowed_tools": {"mode": choice.mode, "tools": tools}}


def _named(kind: str, name: str) -> dict[str, Any]:
    shape = "custom" if kind == "custom" else "function"
    return {"type": shape, shape: {"name": name}}


# --- output, reasoning, identity -------------------------------------------------------------------------------------


def _output(fields: dict[str, Any], request: Request) -> None:
    output = request.output
    if output is None:
        return
    if output.kind == "json_object":
        fields["response_format"] = {"type": "json_object"}
        return
    shape: dict[str, Any] = {"name": _NAME.sub("_", output.name)[:64] or "response"}
    if output.description is not None:
        shape["description"] = output.description
    if output.schema is not None:
        shape["schema"] = output.schema
    strict = True if output.strict is None and request.family == "anthropic" else output.strict
    if strict is not None:
        shape["strict"] = strict
    fields["response_format"] = {"type": "json_schema", "json_schema": shape}


def _effort(setting: ReasoningSetting | None, quirks: Quirks) -> str | None:
    """The word for ``reasoning_effort``, or ``None`` to leave it out (section 7.9)."""
    if setting is None or not quirks.reasoning_effort:
        return None
    if setting.mode == "disabled" or setting.effort == "none":
        return "none" if quirks.reasoning_off or "none" in quirks.efforts else None
    word: str | None = setting.effort
    if setting.mode == "budget" and word is None:
        budget = setting.budget or 0
        word = next((effort for limit, effort in _BUDGET_EFFORTS if budget < limit), "xhigh")
    return None if word is None else _known_effort(word, quirks.efforts)


def _known_effort(word: str, known: tuple[str, ...]) -> str | None:
    if word in known or not known:
        return word if known else None
    word = _FALLBACK_EFFORTS.get(word, word)
    if word in known:
        return word
    rank = EFFORTS.index(word)
    listed = [effort for effort in known if effort in EFFORTS and effort != "none"]
    return min(listed, key=lambda effort: abs(EFFORTS.index(effort) - rank), default=None)


def _identity(fields: dict[str, Any], request: Request, quirks: Quirks) -> None:
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


def _own(fields: dict[str, Any], request: Request, quirks: Quirks) -> None:
    """What a chat client said in chat's own words."""
    if request.verbosity is not None:
        fields["verbosity"] = request.verbosity
    refused = MAPPED | _SAMPLING if quirks.no_sampling else MAPPED
    fields.update({name: raw for name, raw in request.extra.items() if name not in refused})

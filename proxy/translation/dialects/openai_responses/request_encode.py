"""Encodes a request for a Responses upstream (docs/wire-formats.md, section 7)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from typing import Any

import msgspec

from proxy.translation import json_wire
from proxy.translation.canonical import Message, OutputFormat, ReasoningSetting, Request, Text
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.openai_responses.request_encode_input import InputEncoder
from proxy.translation.dialects.openai_responses.tools import encode_choice, encode_tools
from proxy.translation.dialects.openai_responses.wire import ENCRYPTED_CONTENT, FAMILY, LOGPROBS
from proxy.translation.dialects.openai_strict_schema import is_strict
from proxy.translation.errors import ClientMistake

_STRINGS = msgspec.json.Decoder(list[str])
_MIN_OUTPUT_TOKENS = 16
_MAX_END_USER_LENGTH = 128
_TIERS = {
    "standard_only": "default",
    "auto": "auto",
    "default": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
}
_NON_REASONING_MODELS = re.compile(r"(?:.*/)?(?:gpt-3|gpt-4|chatgpt|computer-use|ft:gpt-[34])")
"""Models that do not reason and respond with 400 to ``include: [reasoning.encrypted_content]``."""

NATIVE_SETTINGS = (
    "store",
    "previous_response_id",
    "conversation",
    "prompt",
    "background",
    "max_tool_calls",
    "truncation",
    "context_management",
    "moderation",
    "prompt_cache_options",
    "prompt_cache_retention",
    "client_metadata",
    "access_programs",
    "image",
    "user",
)
"""Settings of a Responses client without a canonical place, sent unchanged to a Responses upstream."""


SHARED_WITH_CHAT = ("moderation", "prompt_cache_options", "prompt_cache_retention")
"""Settings without a canonical place that Chat has in the same form."""


def encode_fields(request: Request, target: EncodeTarget) -> dict[str, Any]:
    """The body; raises :class:`ClientMistake` for content that Responses has no form for."""
    same_family = request.family == FAMILY
    body: dict[str, Any] = {"model": target.model}
    encoder = InputEncoder(request.family, target)
    instructions = [text.text for text in request.system if text.text]
    messages = request.messages
    if target.quirks.late_system == "hoist":
        instructions += [
            part.text for message in messages if message.role == "system" for part in message.parts if isinstance(part, Text) and part.text
        ]
        messages = tuple(message for message in messages if message.role != "system")
    items = encoder.encode(messages)
    if not items:  # Chat accepts system text alone, Responses requires an input item
        items, instructions = encoder.encode((Message("system", request.system),)), []
    if instructions:
        body["instructions"] = "\n\n".join(instructions)
    body["input"] = items
    if request.tools:
        body["tools"] = encode_tools(request.tools, checks_strict=request.family == "anthropic")
    if request.tool_choice is not None:
        body["tool_choice"] = encode_choice(request.tool_choice, request.tools, request.extra.get("tool_choice") if same_family else None)
    for field, encode in _SETTING_ENCODERS.items():
        encoded = encode(request, target)
        if encoded is not None:
            body[field] = encoded
    carried = {FAMILY: NATIVE_SETTINGS, "openai_chat": SHARED_WITH_CHAT}.get(request.family, ())
    body.update({name: request.extra[name] for name in carried if name in request.extra})
    if target.stream:
        body["stream"] = True
    return body


def _encode_max_output_tokens(request: Request, _target: EncodeTarget) -> int | None:
    if request.max_tokens is None:
        return None
    if request.max_tokens < 1:
        raise ClientMistake("max_tokens: must be at least 1 for this model's upstream", param="max_tokens")
    return max(_MIN_OUTPUT_TOKENS, request.max_tokens)


def _encode_reasoning(request: Request, target: EncodeTarget) -> Any:
    if request.family == FAMILY:
        return request.extra.get("reasoning")
    if request.reasoning is None or not target.quirks.reasoning_effort:
        return None
    effort = _encode_effort(request.reasoning, request.family, target)
    if effort == "none":
        return {"effort": effort}
    if request.reasoning.mode == "disabled":
        return None
    fields = {} if effort is None else {"effort": effort}
    # Anthropic clients show the reasoning, others if they ask for it; Chat clients requested only an effort.
    summary = "auto" if request.family == "anthropic" else request.reasoning.summary
    return fields if summary is None else {**fields, "summary": summary}


def _encode_effort(setting: ReasoningSetting, family: str, target: EncodeTarget) -> str | None:
    """The value of ``reasoning.effort`` (docs/wire-formats.md, section 7.9). Chat has the same values as Responses."""
    if setting.mode == "disabled":
        return "none" if target.quirks.reasoning_off else None
    effort = _effort_of_budget(setting.budget) if setting.mode == "budget" and setting.budget is not None else setting.effort
    if effort in ("xhigh", "max") and family == "anthropic" and effort not in target.quirks.efforts:
        return "high"
    return effort


def _effort_of_budget(budget: int) -> str:
    if budget < 4096:
        return "low"
    if budget < 12288:
        return "medium"
    return "high" if budget < 32768 else "xhigh"


def _encode_text(request: Request, _target: EncodeTarget) -> Any:
    out: dict[str, Any] = {}
    if request.output is not None:
        out["format"] = _encode_format(request.output, request.family)
    if request.verbosity is not None:
        out["verbosity"] = request.verbosity
    return out or None


def _encode_format(output: OutputFormat, family: str) -> dict[str, Any]:
    if output.kind == "json_object":
        return {"type": "json_object"}
    out: dict[str, Any] = {"type": "json_schema", "name": output.name or "response", "schema": output.schema or msgspec.Raw(b"{}")}
    # Anthropic's clients set no ``strict``: their formats are always binding, but in another subset of JSON Schema.
    strict = is_strict(output.schema) if output.strict is None and family == "anthropic" else output.strict
    if strict is not None:
        out["strict"] = strict
    if output.description is not None:
        out["description"] = output.description
    return out


def _encode_include(request: Request, target: EncodeTarget) -> list[str] | None:
    include: list[str] = []
    if request.family == FAMILY and "include" in request.extra:
        own: list[str] = json_wire.decode(request.extra["include"], _STRINGS, at="include")
        include += own
    if request.logprobs and LOGPROBS not in include:
        include.append(LOGPROBS)
    may_reason = target.quirks.reasoning_effort and not _NON_REASONING_MODELS.match(target.model)
    if (may_reason or request.reasoning is not None) and ENCRYPTED_CONTENT not in include:
        include.append(ENCRYPTED_CONTENT)
    return include or None


def _encode_end_user(request: Request, target: EncodeTarget) -> str | None:
    user = request.end_user
    if not user or target.quirks.user_field == "none":
        return None
    return user if len(user) <= _MAX_END_USER_LENGTH else hashlib.sha256(user.encode()).hexdigest()


def _encode_service_tier(request: Request, _target: EncodeTarget) -> str | None:
    return request.service_tier if request.family == FAMILY else _TIERS.get(request.service_tier or "")


_SETTING_ENCODERS: dict[str, Callable[[Request, EncodeTarget], Any]] = {
    "parallel_tool_calls": lambda request, _: request.parallel_calls,
    "max_output_tokens": _encode_max_output_tokens,
    "temperature": lambda request, _: request.temperature,
    "top_p": lambda request, _: request.top_p,
    "top_logprobs": lambda request, _: request.top_logprobs,
    "text": _encode_text,
    "reasoning": _encode_reasoning,
    "include": _encode_include,
    "metadata": lambda request, _: request.metadata,
    "service_tier": _encode_service_tier,
    "safety_identifier": _encode_end_user,
    "prompt_cache_key": lambda request, _: request.prompt_cache_key,
    "store": lambda _request, _target: False,
}
"""The encoder of each field; settings without a counterpart (stop sequences, ``top_k``) are left out."""

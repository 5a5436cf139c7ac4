"""A canonical request, as the body for a Responses upstream (wire formats, section 7)."""

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
from proxy.translation.errors import ClientMistake

_LEAST_OUTPUT = 16
_LONGEST_END_USER = 128
_TIERS = {
    "standard_only": "default",
    "auto": "auto",
    "default": "default",
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "fast",
}
_WITHOUT_REASONING = re.compile(r"(?:.*/)?(?:gpt-3|gpt-4|chatgpt|computer-use|ft:gpt-[34])")
"""Models that refuse to be asked for encrypted reasoning, because they do not reason."""

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
"""Settings of a Responses client that only Responses knows, put back as they were."""


def encode_request(request: Request, destination: EncodeTarget) -> bytes:
    """The body; raises :class:`ClientMistake` for content that Responses cannot carry."""
    own = request.family == FAMILY
    body: dict[str, Any] = {"model": destination.model}
    encoder = InputEncoder(request.family, destination)
    instructions = [text.text for text in request.system if text.text]
    messages = request.messages
    if destination.quirks.late_system == "hoist":
        instructions += [
            part.text for each in messages if each.role == "system" for part in each.parts if isinstance(part, Text) and part.text
        ]
        messages = tuple(each for each in messages if each.role != "system")
    items = encoder.encode(messages)
    if not items:  # chat takes system text alone, Responses wants some input
        items, instructions = encoder.encode((Message("system", request.system),)), []
    if instructions:
        body["instructions"] = "\n\n".join(instructions)
    body["input"] = items
    if request.tools:
        body["tools"] = encode_tools(request.tools)
    if request.tool_choice is not None:
        body["tool_choice"] = encode_choice(request.tool_choice, request.tools, request.extra.get("tool_choice") if own else None)
    for field, value in _SETTINGS.items():
        given = value(request, destination)
        if given is not None:
            body[field] = given
    if own:
        body.update({name: request.extra[name] for name in NATIVE_SETTINGS if name in request.extra})
    if destination.stream:
        body["stream"] = True
    return json_wire.encode(body)


def _max_output_tokens(request: Request, _destination: EncodeTarget) -> int | None:
    if request.max_tokens is None:
        return None
    if request.max_tokens < 1:
        raise ClientMistake("max_tokens: at least 1 is needed at this model's upstream", param="max_tokens")
    return max(_LEAST_OUTPUT, request.max_tokens)


def _reasoning(request: Request, destination: EncodeTarget) -> Any:
    if request.family == FAMILY:
        return request.extra.get("reasoning")
    if request.reasoning is None or not destination.quirks.reasoning_effort:
        return None
    effort = _effort(request.reasoning, request.family, destination)
    if effort == "none":
        return {"effort": effort}
    if request.reasoning.mode == "disabled":
        return None
    asked = {} if effort is None else {"effort": effort}
    # Anthropic's clients read the thinking; a chat client's word for the effort is all that it has asked for.
    return {**asked, "summary": "auto"} if request.family == "anthropic" else asked


def _effort(setting: ReasoningSetting, family: str, destination: EncodeTarget) -> str | None:
    """The word for how much to think; chat clients' words are this wire's own."""
    if setting.mode == "disabled":
        return "none" if destination.quirks.reasoning_off else None
    effort = _effort_of_budget(setting.budget) if setting.mode == "budget" and setting.budget is not None else setting.effort
    if effort in ("xhigh", "max") and family == "anthropic" and effort not in destination.quirks.efforts:
        return "high"
    return effort


def _effort_of_budget(budget: int) -> str:
    if budget < 4096:
        return "low"
    if budget < 12288:
        return "medium"
    return "high" if budget < 32768 else "xhigh"


def _text(request: Request, _destination: EncodeTarget) -> Any:
    out: dict[str, Any] = {}
    if request.output is not None:
        out["format"] = _format(request.output, request.family)
    if request.verbosity is not None:
        out["verbosity"] = request.verbosity
    return out or None


def _format(output: OutputFormat, family: str) -> dict[str, Any]:
    if output.kind == "json_object":
        return {"type": "json_object"}
    out: dict[str, Any] = {"type": "json_schema", "name": output.name or "response", "schema": output.schema or msgspec.Raw(b"{}")}
    strict = True if output.strict is None and family == "anthropic" else output.strict
    if strict is not None:
        out["strict"] = strict
    if output.description is not None:
        out["description"] = output.description
    return out


def _include(request: Request, destination: EncodeTarget) -> list[str] | None:
    asked: list[str] = []
    if request.family == FAMILY and "include" in request.extra:
        asked += msgspec.json.decode(request.extra["include"], type=list[str])
    if request.logprobs and LOGPROBS not in asked:
        asked.append(LOGPROBS)
    may_reason = destination.quirks.reasoning_effort and not _WITHOUT_REASONING.match(destination.model)
    if (may_reason or request.reasoning is not None) and ENCRYPTED_CONTENT not in asked:
        asked.append(ENCRYPTED_CONTENT)
    return asked or None


def _end_user(request: Request, destination: EncodeTarget) -> str | None:
    user = request.end_user
    if not user or destination.quirks.user_field == "none":
        return None
    return user if len(user) <= _LONGEST_END_USER else hashlib.sha256(user.encode()).hexdigest()


def _service_tier(request: Request, _destination: EncodeTarget) -> str | None:
    return request.service_tier if request.family == FAMILY else _TIERS.get(request.service_tier or "")


_SETTINGS: dict[str, Callable[[Request, EncodeTarget], Any]] = {
    "parallel_tool_calls": lambda request, _: request.parallel_calls,
    "max_output_tokens": _max_output_tokens,
    "temperature": lambda request, _: request.temperature,
    "top_p": lambda request, _: request.top_p,
    "top_logprobs": lambda request, _: request.top_logprobs,
    "text": _text,
    "reasoning": _reasoning,
    "include": _include,
    "metadata": lambda request, _: request.metadata,
    "service_tier": _service_tier,
    "safety_identifier": _end_user,
    "prompt_cache_key": lambda request, _: request.prompt_cache_key,
    "store": lambda _request, _destination: False,
}
"""Field by field; what has no counterpart (stop sequences, top_k, …) does not appear."""

"""Canonical requests to generateContent requests (docs/wire-formats.md, sections 16.2 and 16.4)."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from msgspec import Raw

from proxy.translation.canonical import Request
from proxy.translation.dialects.base import EncodeTarget
from proxy.translation.dialects.gemini.request_decode import CONFIG_PREFIX, FAMILY_FIELDS, TOOL_CONFIG_PREFIX
from proxy.translation.dialects.gemini.request_encode_contents import ContentsEncoder
from proxy.translation.dialects.gemini.thinking import encode_thinking
from proxy.translation.dialects.gemini.tools import encode_choice, encode_tools
from proxy.translation.dialects.gemini.wire import FAMILY

ROOT = "/v1beta/models"
MAX_STOPS = 5
"""The most stop sequences that the API accepts."""
_MAX_TEMPERATURE = 2.0
_TIERS = {"default": "standard", "flex": "flex", "priority": "priority"}


def path(target: EncodeTarget) -> str:
    """The upstream's path, with the model's name percent-encoded except for its slashes and colons."""
    verb = "streamGenerateContent?alt=sse" if target.stream else "generateContent"
    return target.quirks.api_path or f"{ROOT}/{model_in_path(target.model)}:{verb}"


def model_in_path(model: str) -> str:
    """A remote name as a part of a path, without the collection ``models/`` that some write before it."""
    return quote(model.removeprefix("models/"), safe="/:@")


def encode_fields(request: Request, target: EncodeTarget) -> dict[str, Any]:
    """Raises :class:`~proxy.translation.errors.ClientMistake` for content that the API cannot express."""
    native = request.family == FAMILY
    encoder = ContentsEncoder(target, native=native)
    contents = encoder.encode(request.messages)
    system = [text.text for text in (*request.system, *encoder.late_system) if text.text]
    if not contents and system:  # Chat accepts system text alone, this API requires a content
        contents, system = [{"role": "user", "parts": [{"text": text} for text in system]}], []
    encoder.require(contents)
    body: dict[str, Any] = {}
    if system:
        body["systemInstruction"] = {"parts": [{"text": text} for text in system]}
    body["contents"] = contents
    if request.tools:
        body["tools"] = encode_tools(request.tools)
    choice = encode_choice(request)
    extra = request.extra if native else {}
    tool_config = {"functionCallingConfig": choice} if choice is not None else {}
    tool_config |= _below(TOOL_CONFIG_PREFIX, extra)
    if tool_config:
        body["toolConfig"] = tool_config
    config = _generation_config(request, target) | _below(CONFIG_PREFIX, extra)
    if config:
        body["generationConfig"] = config
    if request.service_tier in _TIERS:
        body["serviceTier"] = _TIERS[request.service_tier]
    return body | {name: extra[name] for name in FAMILY_FIELDS if name in extra}


def _below(prefix: str, extra: dict[str, Raw]) -> dict[str, Any]:
    return {name.removeprefix(prefix): raw for name, raw in extra.items() if name.startswith(prefix)}


def _generation_config(request: Request, target: EncodeTarget) -> dict[str, Any]:
    output = request.output
    optional = {
        "maxOutputTokens": request.max_tokens,
        "temperature": None if request.temperature is None else min(request.temperature, _MAX_TEMPERATURE),
        "topP": request.top_p,
        "topK": request.top_k,
        "stopSequences": [text for text in request.stop if text][:MAX_STOPS] or None,
        "responseMimeType": None if output is None else "application/json",
        "responseJsonSchema": output.schema if output is not None and output.kind == "json_schema" else None,
        "thinkingConfig": encode_thinking(request, target),
    }
    return {name: value for name, value in optional.items() if value is not None}
